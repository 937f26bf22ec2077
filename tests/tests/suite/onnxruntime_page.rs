//! The program on the page "Run a build in onnxruntime" gives the masks of a build's acceptance
//! vectors.

use std::fs;
use std::process::Command;

use medsa_tests::program::{demo_build, run};
use medsa_tests::{needs, place};

#[test]
fn program_of_the_page_reproduces_the_acceptance_masks() {
    needs!("litemedsam", "venv");
    let folder = place::scratch();
    let (build, path) = (demo_build(), folder.path().join("build.medsa"));
    build.write(&path).unwrap();
    let script = folder.path().join("masks.py");
    fs::write(&script, program_of_the_page()).unwrap();
    let output = run(Command::new(place::python()).arg(&script).arg(&path));

    let vectors = &build.acceptance().vectors;
    assert!(!vectors.is_empty());
    assert_eq!(output.lines().count(), vectors.len(), "{output}");
    for (line, vector) in output.lines().zip(vectors) {
        let [frame, iou, min_iou] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert_eq!(frame, vector.frame);
        assert_eq!(min_iou.parse::<f64>().unwrap(), vector.min_iou);
        assert!((vector.min_iou..=1.0).contains(&iou.parse().unwrap()), "{line}");
    }
}

/// The first block of Python of the page.
fn program_of_the_page() -> String {
    let page = place::repository().join("docs/src/integrate/onnxruntime.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("```python\n").expect("the page has a program");
    let (program, _) = rest.split_once("```").expect("the program ends");
    program.to_owned()
}
