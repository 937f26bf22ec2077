//! Following on real clips with the shipped adapter; a short form of `make bench PARTS=following`.

use std::num::NonZeroUsize;

use medsa_engine::Engine;
use medsa_tests::following::{self, Event, PLACES, Still, sequences};
use medsa_tests::needs;
use medsa_tests::place;
use medsa_tests::program::demo_build;

#[test]
fn objects_stay_outlined_and_return() {
    needs!("dicom", "litemedsam");
    let engine = Engine::load(demo_build(), NonZeroUsize::MIN).unwrap();

    // Ten seconds of the ventricle, while an encoder run takes a tenth of a second.
    let places = &PLACES[..3];
    let cine = following::cine(&engine, &place::cine(), 10, places, &[100], 0.0).unwrap();
    for (place, measured) in places.iter().zip(&cine[0]) {
        assert!(measured.outlined >= 0.97, "{place:?}: {measured:?}");
        let least = measured.overlaps.iter().copied().fold(1.0, f32::min);
        assert!(least >= 0.75, "{place:?}: {measured:?}");
    }

    // Endoscopy, every image encoded.
    for scene in sequences(&engine, &place::data("vocalfolds"), Some(3), 4).unwrap() {
        let measured = scene.measure(false, 0).unwrap();
        let clicked = scene.clicked_anew().unwrap();
        println!("{}: {measured:?}, clicked anew {clicked}", scene.name);
        // The shipped adapter is one for ultrasound.
        assert!(measured.j >= 0.75 * clicked, "{}: {measured:?}, {clicked}", scene.name);
    }

    let still = |image: &str| {
        let folder = place::data("usgra-nerve");
        let file = |part: &str, end: &str| folder.join(part).join(format!("{image}.{end}"));
        let still = Still::read(&file("images", "jpg"), &file("masks", "png"), 2).unwrap();
        // Frames of this size are moved and followed in less time.
        still.resized([320, 320])
    };
    let (vessel, other) = (still("0022"), still("0106"));
    for event in [Event::None, Event::Lift, Event::Cut] {
        let scene = vessel.scene(&engine, event, &other).unwrap();
        let measured = scene.measure(false, 250).unwrap();
        println!("{event:?}: {measured:?}");
        assert!(measured.outlined >= 0.9 && measured.j >= 0.7, "{event:?}: {measured:?}");
        // A second or three encoder runs.
        assert!(measured.frames_to_return.is_none_or(|frames| frames <= 30), "{measured:?}");
        assert!(measured.false_outlines <= 0.2, "{event:?}: {measured:?}");
    }
}
