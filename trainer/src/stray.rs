//! Files that are not what their name says: error pages, pointers, archives.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Number of bytes at the start of a file that tell its kind.
const START_BYTES: u64 = 512;

/// First line of a Git LFS pointer.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Start of PyTorch's format before version 1.6: the pickle of a magic number.
const OLD_PYTORCH: [u8; 14] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Kind of the file at `path` in words, and what to do; `None` if it is unknown, or if the file
/// cannot be read.
pub(crate) fn describe_file(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(START_BYTES).read_to_end(&mut start).ok()?;
    describe(&start)
}

/// Kind of the file that starts with these bytes, and what to do; `None` if it is unknown.
pub(crate) fn describe(start: &[u8]) -> Option<String> {
    let start = &start[..start.len().min(START_BYTES as usize)];
    if start.is_empty() {
        return Some("the file is empty: download or copy it again".into());
    }
    if start.starts_with(LFS_POINTER) {
        return Some(lfs_pointer(start));
    }
    let archive = |kind: &str| format!("this is {kind}: unpack it, and use the file inside");
    let pickle = "load it in Python once, and save its tensors with \
                  torch.save(model.state_dict(), FILE)";
    let kind = match start {
        _ if is_markup(start) => "this is an HTML or XML page, not the file itself: the download \
                                  was answered with a page, for example to log in or to confirm; \
                                  download the file again"
            .into(),
        _ if start.starts_with(&OLD_PYTORCH) => {
            "this is a checkpoint in the format of PyTorch before 1.6 (a pickle, not a zip \
             archive): convert it in Python once, with torch.save(torch.load(FILE, \
             map_location=\"cpu\"), NEW_FILE)"
                .into()
        }
        [0x80, 2..=5, ..] => format!("this is a Python pickle, not a file of torch.save: {pickle}"),
        [0x89, b'H', b'D', b'F', ..] => {
            "this is an HDF5 file, for example of Keras or MATLAB: convert its tensors".into()
        }
        [0x1f, 0x8b, ..] => archive("compressed with gzip"),
        [b'7', b'z', 0xbc, 0xaf, ..] => archive("a 7z archive"),
        [b'R', b'a', b'r', b'!', ..] => archive("a RAR archive"),
        [b'P', b'K', ..] => archive("a zip archive"),
        _ if start.get(257..262) == Some(b"ustar") => archive("a tar archive"),
        [b'{' | b'[', ..] if is_text(start) => {
            "this is JSON text, not the file itself: the download may have been answered with an \
             error; download the file again"
                .into()
        }
        _ => return None,
    };
    Some(kind)
}

fn lfs_pointer(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
    format!(
        "this is a Git LFS pointer to a file{size}, not the file itself: run `git lfs pull` in its \
         repository, or download the file by itself"
    )
}

/// True for HTML and XML, also with a byte order mark or blank lines before.
fn is_markup(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--", "<script"]
        .iter()
        .any(|tag| text.starts_with(tag))
}

fn is_text(start: &[u8]) -> bool {
    start.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files_are_named_with_a_remedy() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\n\
                        oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
                        size 375042383\n";
        let tar = [&[b'a'; 257][..], b"ustar\x0000", &[0; 200]].concat();
        let old = [&OLD_PYTORCH[..], b".\x80\x02M\xe9\x03."].concat();
        for (start, kind, remedy) in [
            (&b""[..], "empty", "again"),
            (b"\n<!DOCTYPE html><html lang=en>", "HTML or XML page", "download the file again"),
            (b"\xef\xbb\xbf<html>", "HTML or XML page", "download the file again"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", "XML page", "download"),
            (pointer, "Git LFS pointer to a file of 375042383 bytes", "git lfs pull"),
            (&old, "PyTorch before 1.6", "torch.save(torch.load(FILE"),
            (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94", "a Python pickle", "state_dict()"),
            (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "convert"),
            (b"\x1f\x8b\x08\0", "gzip", "unpack"),
            (b"PK\x03\x04", "a zip archive", "unpack"),
            (&tar, "a tar archive", "unpack"),
            (b"{\"error\": \"Invalid username or password.\"}", "JSON", "download the file again"),
        ] {
            let words = describe(start).unwrap_or_default();
            assert!(words.contains(kind) && words.contains(remedy), "{kind}: {words:?}");
        }
    }

    #[test]
    fn valid_files_and_unknown_bytes_are_not_described() {
        let safetensors = b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\"";
        let png = b"\x89PNG\r\n\x1a\n";
        for start in [&safetensors[..], png, b"\xff\xd8\xff\xe0", &[0; 200], b"words"] {
            assert_eq!(describe(start), None);
        }
    }
}
