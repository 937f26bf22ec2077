//! State of the machine: temperature, throttling, battery. Values that it does not offer are `None`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// State of the machine at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Highest temperature of all sensors, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Lowest clock of all processors, as a share of its maximum.
    pub clock_share: Option<f64>,
    /// True while the firmware limits the clock because of heat or low voltage.
    pub throttled: Option<bool>,
}

impl Vitals {
    /// Reads the values from `/sys` under `root`; tests use another root than `/`.
    pub fn read(root: &Path) -> Self {
        let zones = entries(&root.join("sys/class/thermal"), "thermal_zone");
        let temperatures = zones.iter().filter_map(|zone| temperature_c(&zone.join("temp")));
        let processors = entries(&root.join("sys/devices/system/cpu"), "cpu");
        let shares = processors.iter().filter_map(|processor| {
            let now = number(&processor.join("cpufreq/scaling_cur_freq"))?;
            Some(now / number(&processor.join("cpufreq/cpuinfo_max_freq"))?)
        });
        Self {
            temperature_c: temperatures.reduce(f64::max),
            clock_share: shares.filter(|share| share.is_finite()).reduce(f64::min),
            throttled: throttled(&root.join(RASPBERRY_PI)),
        }
    }
}

/// Charge of the battery of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Battery {
    /// Charge in percent.
    pub percent: u8,
    /// True unless the machine runs on its battery.
    pub mains: bool,
}

impl Battery {
    /// Reads the charge from `/sys` under `root`; `None` without a battery.
    pub fn read(root: &Path) -> Option<Self> {
        entries(&root.join("sys/class/power_supply"), "").into_iter().find_map(|supply| {
            let text =
                |name: &str| Some(fs::read_to_string(supply.join(name)).ok()?.trim().to_owned());
            // Batteries of keyboards and the like have the scope `Device`.
            if text("type")? != "Battery" || text("scope").as_deref() == Some("Device") {
                return None;
            }
            let percent = text("capacity")?.parse().ok()?;
            Some(Self { percent, mains: text("status").as_deref() != Some("Discharging") })
        })
    }
}

/// Temperature in degrees Celsius from a file that holds thousandths of a degree.
pub fn temperature_c(file: &Path) -> Option<f64> {
    number(file).map(|thousandths| thousandths / 1e3)
}

/// File in which the firmware of a Raspberry Pi reports throttling, as a hexadecimal number.
const RASPBERRY_PI: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// Bits for a clock that is capped, throttled, or at the soft temperature limit now.
const HELD_DOWN: u32 = 0b1110;

fn throttled(file: &Path) -> Option<bool> {
    let text = fs::read_to_string(file).ok()?;
    let bits = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
    Some(bits & HELD_DOWN != 0)
}

fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    entries.flatten().map(|entry| entry.path()).filter(named).collect()
}

fn number(file: &Path) -> Option<f64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn battery_of_the_machine_is_not_that_of_a_keyboard() {
        let root = tempfile::tempdir().unwrap();
        let write = |supply: &str, lines: &[(&str, &str)]| {
            let folder = root.path().join("sys/class/power_supply").join(supply);
            fs::create_dir_all(&folder).unwrap();
            lines.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        };
        assert_eq!(Battery::read(root.path()), None);
        write("AC", &[("type", "Mains\n"), ("online", "1\n")]);
        let keyboard = [("type", "Battery\n"), ("scope", "Device\n"), ("capacity", "7\n")];
        write("hid-1", &keyboard);
        assert_eq!(Battery::read(root.path()), None);
        let battery = [("type", "Battery\n"), ("capacity", "81\n"), ("status", "Discharging\n")];
        write("BAT0", &battery);
        assert_eq!(Battery::read(root.path()), Some(Battery { percent: 81, mains: false }));
        for status in ["Charging", "Full", "Not charging"] {
            write("BAT0", &[("status", status)]);
            assert_eq!(Battery::read(root.path()), Some(Battery { percent: 81, mains: true }));
        }
    }

    #[test]
    fn hottest_sensor_and_slowest_processor_are_reported() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(Vitals::read(root.path()), Vitals::default());
        write("sys/class/thermal/thermal_zone0/temp", "41500\n");
        write("sys/class/thermal/thermal_zone1/temp", "63250\n");
        for (cpu, now) in [("cpu0", "2400000"), ("cpu1", "600000")] {
            write(&format!("sys/devices/system/cpu/{cpu}/cpufreq/scaling_cur_freq"), now);
            write(&format!("sys/devices/system/cpu/{cpu}/cpufreq/cpuinfo_max_freq"), "2400000");
        }
        write(RASPBERRY_PI, "50004\n");
        let vitals = Vitals::read(root.path());
        assert_eq!(vitals.temperature_c, Some(63.25));
        assert_eq!(vitals.clock_share, Some(0.25));
        assert_eq!(vitals.throttled, Some(true));
        // Bits of past events, and low voltage alone, do not count as throttled.
        write(RASPBERRY_PI, "0xf0001");
        assert_eq!(Vitals::read(root.path()).throttled, Some(false));
    }
}
