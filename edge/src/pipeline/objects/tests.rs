use super::*;

fn click(x: f32) -> Change {
    Change::Set { points: vec![Point { x, y: 1.0, positive: true }], bbox: None }
}

fn objects(size: (usize, usize)) -> Objects {
    let objects = Objects::new(Arc::default(), Following::On);
    objects.fit(size, |_, _| {});
    objects
}

#[test]
fn refused_prompt_leaves_previous_one() {
    let objects = objects((100, 100));
    let object = ObjectId::new(3).unwrap();
    objects.change(object, click(50.0)).unwrap();
    assert!(objects.change(object, click(101.0)).is_err());
    let outside = Change::Add(Point { x: -1.0, y: 0.0, positive: false });
    assert!(objects.change(object, outside).is_err());
    let now = objects.prompts();
    assert_eq!(now.len(), 1);
    assert_eq!((now[0].0, now[0].1.points()[0].x), (3, 50.0));
}

#[test]
fn prompts_outside_smaller_frames_are_removed() {
    let objects = objects((100, 100));
    objects.change(ObjectId::new(0).unwrap(), click(90.0)).unwrap();
    objects.change(ObjectId::new(1).unwrap(), click(10.0)).unwrap();
    let mut refused = Vec::new();
    objects.fit((80, 80), |object, _| refused.push(object));
    let now = objects.prompts();
    assert_eq!((refused, now.len(), now[0].0), (vec![0], 1, 1));
}

#[test]
fn points_are_added_and_undone_one_by_one() {
    let objects = objects((100, 100));
    let object = ObjectId::new(0).unwrap();
    for x in [10.0, 20.0, 30.0] {
        objects.change(object, Change::Add(Point { x, y: 1.0, positive: true })).unwrap();
    }
    let xs = || -> Vec<_> {
        objects.prompts().iter().flat_map(|(_, p)| p.points().iter().map(|p| p.x)).collect()
    };
    assert_eq!(xs(), [10.0, 20.0, 30.0]);
    objects.change(object, Change::Undo).unwrap();
    assert_eq!(xs(), [10.0, 20.0]);
    objects.change(object, Change::Undo).unwrap();
    objects.change(object, Change::Undo).unwrap();
    assert!(objects.prompts().is_empty());
    objects.change(object, Change::Undo).unwrap();
    for _ in 0..2 {
        objects.change(object, Change::Redo).unwrap();
    }
    assert_eq!(xs(), [10.0, 20.0]);
    objects.change(object, Change::Clear).unwrap();
    assert!(objects.prompts().is_empty());
    objects.change(object, Change::Undo).unwrap();
    assert_eq!(xs(), [10.0, 20.0]);
    objects.change(object, Change::Clear).unwrap();
    objects.change(object, Change::Add(Point { x: 5.0, y: 1.0, positive: true })).unwrap();
    assert_eq!(xs(), [5.0]);
    let before_the_first = Objects::new(Arc::default(), Following::On);
    assert!(before_the_first.change(object, click(1.0)).is_err());
}
