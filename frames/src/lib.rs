//! Recorded pictures: DICOM files, PNG, JPEG, folders of them.
