//! Path traversal: a signed target whose name leads out of the folder of targets.

use std::fs;

use tough::TargetName;

use crate::lab::{Lab, assert_says};

/// Lists the build under another name, and signs the list.
fn list_as(lab: &Lab, target: &str, name: &str) {
    lab.relist(&["targets-1.pk8"], |targets| {
        let (_, mut listed) = targets.targets.drain().next().unwrap();
        listed.custom.insert("name".into(), name.into());
        targets.targets.insert(TargetName::new(target).unwrap(), listed);
    });
}

#[test]
fn target_names_with_paths_are_refused() {
    for (target, name, expected) in [
        ("../../liver-1.0.0.medsa", "liver", "is not named as its build is"),
        ("/etc/liver-1.0.0.medsa", "liver", "is not named as its build is"),
        ("a/../liver-1.0.0.medsa", "liver", "is not named as its build is"),
        ("../liver-1.0.0.medsa", "../liver", "name is \"../liver\", expected letters"),
        ("..-1.0.0.medsa", "..", "name is \"..\", expected letters"),
        ("liver\n-1.0.0.medsa", "liver\n", "expected letters"),
    ] {
        let lab = Lab::new();
        list_as(&lab, target, name);
        let said = lab.sees();
        assert_says(&said, &format!("target {target:?}"));
        assert_says(&said, expected);
        let mut names: Vec<_> = fs::read_dir(lab.path("device"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["trust"]);
    }
    // Listed in the same way, under its right name.
    let lab = Lab::new();
    list_as(&lab, "liver-1.0.0.medsa", "liver");
    assert_eq!(lab.sees().unwrap(), "1.0.0");
}
