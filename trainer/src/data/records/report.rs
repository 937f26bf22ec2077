//! Facts about the records of a data set: devices, times, builds, objects and prompts.

use std::collections::BTreeMap;
use std::fmt;

use super::description::Description;
use crate::data::values::MAX_CLASS;

/// Facts about all records of a folder that have a readable description. Displayed as lines of
/// text.
#[derive(Clone, Debug, Default)]
pub struct RecordsReport {
    /// Times of capture; one for each record.
    times: Vec<String>,
    /// Number of captures by device, build and origin of the request, as text.
    captures: BTreeMap<String, usize>,
    /// Labels in the order of their classes, with the number of objects whose masks are used.
    labels: Vec<(String, usize)>,
    clicks: usize,
    negative_clicks: usize,
    boxes: usize,
}

impl RecordsReport {
    /// Adds the capture of a record.
    pub(super) fn add(&mut self, name: &str, description: &Description) {
        let Description { trigger, device, build, objects, .. } = description;
        self.times.push(time(name));
        let sha256: String = build.sha256.chars().take(12).collect();
        for fact in [
            format!("by build {} {} (sha256 {sha256})", build.name, build.version),
            format!("on {} ({}, medsa-edge {})", device.id, device.board, device.edge_version),
            format!("requested by {trigger}"),
        ] {
            *self.captures.entry(fact).or_default() += 1;
        }
        for prompt in objects.iter().map(|object| &object.prompt) {
            self.clicks += prompt.points.len();
            self.negative_clicks += prompt.points.iter().filter(|point| !point.positive).count();
            self.boxes += usize::from(prompt.bbox.is_some());
        }
    }

    /// Counts an object whose mask is used; returns the class of its label. Labels are numbered in
    /// the order of their first capture. The error says that there are too many.
    pub(super) fn class(&mut self, label: &str) -> Result<u8, String> {
        let known = self.labels.iter().position(|(known, _)| known == label);
        let at = known.unwrap_or(self.labels.len());
        let class = u8::try_from(at + 1).ok().filter(|&class| class <= MAX_CLASS);
        let class =
            class.ok_or_else(|| format!("label {label:?} is one of more than {MAX_CLASS}"))?;
        if known.is_none() {
            self.labels.push((label.to_owned(), 0));
        }
        self.labels[at].1 += 1;
        Ok(class)
    }

    /// Labels of the objects, in the order of their classes 1, 2, ...
    pub(in crate::data) fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|(label, _)| label.as_str())
    }
}

impl fmt::Display for RecordsReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "captures: {}", self.times.len())?;
        // The clock of a device may have been set back.
        if let (Some(first), Some(last)) = (self.times.iter().min(), self.times.iter().max()) {
            write!(f, ", from {first} to {last} UTC")?;
        }
        for (fact, count) in &self.captures {
            write!(f, "\ncaptures {fact}: {count}")?;
        }
        for (label, count) in &self.labels {
            write!(f, "\nobjects labelled {label}: {count}")?;
        }
        let Self { clicks, negative_clicks, boxes, .. } = self;
        write!(
            f,
            "\nprompts: {clicks} clicks ({negative_clicks} negative) and {boxes} boxes, not used: \
             training draws its own from the masks"
        )
    }
}

/// Time of capture in the name of a record, to the second.
fn time(name: &str) -> String {
    // Names match the pattern of records: they end with 23 characters like 20261123T064433.123456Z.
    let (date, time) = (&name[name.len() - 23..], &name[name.len() - 14..]);
    let [year, month, day] = [&date[..4], &date[4..6], &date[6..8]];
    let [hour, minute, second] = [&time[..2], &time[2..4], &time[4..6]];
    format!("{year}-{month}-{day} {hour}:{minute}:{second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_classes_up_to_254() {
        let mut report = RecordsReport::default();
        assert_eq!(report.class("nerve"), Ok(1));
        for number in 0..253 {
            assert_eq!(report.class(&format!("object {number}")), Ok(number + 2));
        }
        assert_eq!(report.class("nerve"), Ok(1));
        let error = report.class("one more").unwrap_err();
        assert_eq!(error, "label \"one more\" is one of more than 254");
        assert_eq!(report.labels().count(), 254);
        assert_eq!(report.labels[0], ("nerve".into(), 2));
    }

    #[test]
    fn time_is_in_the_name() {
        assert_eq!(time("00000042-20261123T064433.123456Z"), "2026-11-23 06:44:33");
    }
}
