//! Missing and wrong video devices; machines that run tests have no real ones.

use super::Played;

#[test]
fn non_video_device_is_reported_and_retried() {
    for (device, expected) in [
        ("/dev/no-such-device", "No such file or directory"),
        ("/dev/null", "Inappropriate ioctl for device"),
    ] {
        let lines = format!("kind = \"v4l2\"\ndevice = \"{device}\"");
        let mut source = Played::open(&std::env::temp_dir(), &lines);
        for retry_ms in [250, 500] {
            let (reason, retry_in) = source.lost();
            assert!(reason.starts_with(&format!("video device {device}: {expected}")), "{reason}");
            assert_eq!(retry_in.as_millis(), retry_ms);
        }
    }
}
