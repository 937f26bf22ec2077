//! Video devices that are not there: a machine that runs tests has none.

use super::Played;

#[test]
fn what_is_no_video_device_is_lost_and_tried_again() {
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
