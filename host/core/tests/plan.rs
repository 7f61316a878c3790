//! Parts of plans: of which role and shape, well formed or not.

use shardwright_core::plan::{PART_SHARDS, PlanPart, shape};
use shardwright_core::role::{Mode, Placement, Replicas, RoleSpec};

fn role(name: &str, shards: u32, mode: Mode) -> RoleSpec {
    RoleSpec {
        name: name.to_owned(),
        shards,
        replicas: Replicas::Count(1),
        mode,
        policy: "native".to_owned(),
        config: "{}".to_owned(),
        placement: Placement::Anywhere,
    }
}

/// Plans are stored under it: another version that saw another shape would stop all work.
#[test]
fn a_shape_is_the_same_in_every_version() {
    let shapes =
        [role("mail", 64, Mode::Primary), role("mail", 64, Mode::All)].map(|role| format!("{:016x}", shape(&role)));
    assert_eq!(shapes, ["10d9458fcffd7723", "382362bdd2e7b071"]);
}

#[test]
fn a_part_is_of_a_role_by_shape_and_by_every_length() {
    let mail = role("mail", PART_SHARDS + 2, Mode::Primary);
    let part = PlanPart::empty(&mail, 1);
    assert_eq!((part.shards(), part.holders.len()), (2, 2));
    assert!(part.is_of(&mail, 1));
    assert!(!part.is_of(&mail, 0), "the first is longer");
    assert!(!part.is_of(&role("news", PART_SHARDS + 2, Mode::Primary), 1));
    let longer = PlanPart {
        rows: vec![0; 3],
        ..part.clone()
    };
    assert!(!longer.is_of(&mail, 1));
    let held_by_all = PlanPart {
        holders: Vec::new(),
        ..part
    };
    assert!(!held_by_all.is_of(&mail, 1), "nobody says who acts");
}

#[test]
fn a_part_is_well_formed_if_its_lists_fit_together() {
    let good = |width: u32, shards: usize| PlanPart {
        width,
        rows: vec![0; width as usize * shards],
        holders: vec![0; shards],
        granted: vec![0; shards],
        targets: vec![0; shards],
        ..PlanPart::empty(&role("mail", 1, Mode::Primary), 0)
    };
    let whole = PART_SHARDS as usize;
    for (width, shards) in [(1, 0), (1, 1), (2, 2), (3, 2), (1, whole), (3, whole)] {
        assert!(good(width, shards).is_well_formed(), "{width} × {shards}");
    }
    assert!(!good(0, 0).is_well_formed(), "rows have a width");
    assert!(!good(1, whole + 1).is_well_formed(), "a part has a limit");
    let open = PlanPart {
        rows: vec![0; 7],
        ..good(3, 2)
    };
    assert!(!open.is_well_formed(), "rows are whole");
}
