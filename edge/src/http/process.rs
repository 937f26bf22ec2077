//! State of the process, with the names that Prometheus recommends.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo, boot_time_secs, ticks_per_second};

use super::exposition::Page;

/// Adds the metrics of this process; those that the system does not tell are left out.
pub(super) fn process(page: &mut Page) {
    let Ok(process) = Process::myself() else { return };
    // A value that cannot be read is no reason to lose the others.
    let _ = of_stat(page, &process);
    let open = process.fd_count().ok().map(|count| count as f64);
    page.gauge("process_open_fds", "Number of open file descriptors", open);
    let most = process.limits().ok().and_then(|limits| match limits.max_open_files.soft_limit {
        LimitValue::Value(limit) => Some(limit as f64),
        LimitValue::Unlimited => None,
    });
    page.gauge("process_max_fds", "Largest number of open file descriptors", most);
}

fn of_stat(page: &mut Page, process: &Process) -> ProcResult<()> {
    let stat = process.stat()?;
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second() as f64;
    let help = "Time of all processors for this process, in seconds";
    page.counter("process_cpu_seconds_total", help, seconds(stat.utime + stat.stime));
    let memory = stat.rss_bytes().get() as f64;
    page.gauge("process_resident_memory_bytes", "Resident memory", Some(memory));
    page.gauge("process_virtual_memory_bytes", "Virtual memory", Some(stat.vsize as f64));
    page.gauge("process_threads", "Number of threads", Some(stat.num_threads as f64));
    let started = boot_time_secs()? as f64 + seconds(stat.starttime);
    let help = "Start of the process in seconds since 1970-01-01 00:00 UTC";
    page.gauge("process_start_time_seconds", help, Some(started));
    Ok(())
}
