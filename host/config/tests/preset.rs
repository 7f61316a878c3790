//! Where the mail server's roles exist, and where they do not.

mod common;

use common::{error, sound};
use shardwright_config::{
    CheckOptions, ClusterConfig, Code, KNOWN_ROLES, MailRoles, check, explain_roles, keys, parse, shared_settings,
};
use std::path::Path;

fn names(config: &ClusterConfig) -> Vec<&str> {
    config.roles.iter().map(|role| role.name.as_str()).collect()
}

/// The names of the roles of `text`, and by which rule they are those.
fn roles(text: &str) -> (Vec<String>, MailRoles) {
    let (config, _) = sound(text);
    (
        names(&config).into_iter().map(ToOwned::to_owned).collect(),
        config.mail_roles,
    )
}

const OWN: &str = "[cluster.roles]\nnightly = { shards = 4 }\n";

#[test]
fn a_cluster_with_one_role_of_its_own_has_one_role() {
    assert_eq!(roles(OWN), (vec!["nightly".to_owned()], MailRoles::OthersOnly));
    for section in [
        "[store.s]\ntype = \"redis\"\nurl = \"redis://h\"",
        "[store.s]\ntype = \"sqlite\"\npath = \"c.db\"",
        "[server]\nhostname = \"x\"",
    ] {
        let coordinator = if section.contains("store") {
            "cluster.coordinator = \"s\"\n"
        } else {
            ""
        };
        let text = format!("{coordinator}cluster.node-id = 1\ncluster.roles.nightly.shards = 4\n{section}\n");
        assert_eq!(
            roles(&text),
            (vec!["nightly".to_owned()], MailRoles::OthersOnly),
            "{text}"
        );
    }
}

#[test]
fn what_mentions_one_of_them_has_all() {
    for name in KNOWN_ROLES {
        for value in ["[]", "{}", "[\"1\"]"] {
            let (found, why) = roles(&format!("[cluster.roles]\n{name:?} = {value}\n"));
            assert_eq!(found, KNOWN_ROLES, "{name} = {value}");
            assert_eq!(why, MailRoles::Mentioned(name));
        }
    }
    let (found, why) = roles("[cluster.roles]\nnightly = { shards = 4 }\npurge = { stores = [\"1\"] }\n");
    assert_eq!(
        (found.len(), why),
        (KNOWN_ROLES.len() + 1, MailRoles::Mentioned("purge.stores"))
    );
    let (found, why) = roles("[cluster.roles.merge-threads]\nmerge-threads = [\"1\"]\n");
    assert_eq!(
        (found.len(), why),
        (KNOWN_ROLES.len(), MailRoles::Mentioned("merge-threads"))
    );
}

#[test]
fn a_preset_decides_whatever_else_is_said() {
    let (found, why) = roles("cluster.preset = \"stalwart\"");
    assert_eq!(found, KNOWN_ROLES);
    assert_eq!(why, MailRoles::Preset);
    assert_eq!(
        roles(&format!("cluster.preset = \"stalwart\"\n{OWN}")).0.len(),
        KNOWN_ROLES.len() + 1
    );
    let text =
        "[cluster]\npreset = \"none\"\n[cluster.roles]\nfts-indexing = { shards = 4 }\n[storage]\ndata = \"db\"\n";
    assert_eq!(roles(text), (vec!["fts-indexing".to_owned()], MailRoles::Declined));
    error(
        "cluster.preset = «\"stalwort\"»",
        Code::InvalidValue,
        "did you mean \"stalwart\"?",
    );
    error(
        "cluster.roles.«preset» = \"stalwart\"",
        Code::UnknownRole,
        "stands in `[cluster]`",
    );
}

#[test]
fn the_mail_servers_own_file_keeps_them_beside_others() {
    let (found, why) = roles(&format!("storage.data = \"db\"\nstore.db.type = \"rocksdb\"\n{OWN}"));
    assert_eq!((found.len(), why), (KNOWN_ROLES.len() + 1, MailRoles::ItsOwnFile));
}

#[test]
fn a_file_that_sets_no_role_means_all_if_it_is_like_the_mail_servers() {
    let all = |text: &str, says: &str| {
        let (found, why) = roles(text);
        let MailRoles::LikeItsFile(found_by) = &why else {
            panic!("{text}: {why:?}")
        };
        assert!(
            (found.len(), found_by.contains(says)) == (KNOWN_ROLES.len(), true),
            "{text}: {why:?}"
        );
    };
    for section in [
        "type = \"redis\"\nurl = \"redis://h\"",
        "type = \"nats\"\naddress = \"h\"",
        "type = \"kafka\"\nbrokers = \"h:1\"",
        "type = \"zenoh\"\nconfig = \"{}\"",
    ] {
        // Keys of Shardwright's own beside it take nothing away.
        let text =
            format!("cluster.name = \"x\"\ncluster.coordinator = \"s\"\n[store.s]\n{section}\n[node]\nzone = \"a\"\n");
        all(&text, "`cluster.coordinator` of type");
    }
    all("cluster.coordinator = \"\"", "a blank `cluster.coordinator`");
    for key in keys::GOSSIP {
        all(&format!("cluster.{key} = \"1\""), key);
    }
    all("[cluster]\nname = \"x\"\n[directory.x]\n", "[directory]");
    all("server.hostname = \"x\"", "[server]");
}

#[test]
fn a_file_with_nothing_of_the_mail_servers_has_none_of_its_roles() {
    for text in [
        "",
        "[cluster]\nname = \"x\"\nsecret = \"0123456789abcdef\"\n[cluster.timing]\nsettle = \"1s\"\n",
        // What is particular to a node must not decide what all nodes share.
        "cluster.node-id = 3",
        "[node]\nzone = \"a\"\n[policy.balanced]\nbudget.wall = \"2s\"\n",
        "cluster.coordinator = \"s\"\n[store.s]\ntype = \"sqlite\"\npath = \"c.db\"\n",
        "cluster.coordinator = \"s\"\n[store.s]\ntype = \"memory\"\n",
        "cluster.coordinator = \"s\"\n[store.s]\ntype = \"component\"\nadapter = \"etcd\"\n",
    ] {
        assert_eq!(roles(text), (vec![], MailRoles::NotItsFile), "{text}");
    }
}

/// What the mail server's operators have written keeps its meaning: every sound file of theirs has all roles, named or
/// not.
#[test]
fn every_case_of_the_mail_server_has_all_its_roles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/configs");
    let (mut sound, mut without_roles) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("the cases") {
        let path = entry.expect("a case").path();
        let text = std::fs::read_to_string(&path).expect("read");
        // Any number will do for the id of a pod, and any text for what else is in variables.
        let text = text
            .replace("%{env:POD_INDEX}%", "0")
            .replace("%{env:BROKERS}%", "h:1,i:1");
        let Ok((config, _)) = parse(&text, "case.toml") else {
            continue;
        };
        let found = names(&config);
        assert!(
            KNOWN_ROLES.iter().all(|role| found.contains(role)),
            "{}: {found:?}",
            path.display()
        );
        sound += 1;
        without_roles += usize::from(!matches!(config.mail_roles, MailRoles::Mentioned(_)));
    }
    assert!(
        sound > 35 && without_roles > 20,
        "{sound} sound, {without_roles} of them name no role"
    );
}

#[test]
fn files_that_differ_in_this_are_told_once_with_both_reasons() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let mentions = file(
        "a.toml",
        "[cluster.roles]\nnightly = { shards = 4 }\nfts-indexing = { shards = 2 }\n",
    );
    let own = file("b.toml", OWN);
    let differ = |paths: [&std::path::PathBuf; 2]| -> Vec<String> {
        let report = check(&paths.map(Clone::clone), &CheckOptions::default());
        assert!(
            report.problems().iter().all(|p| p.code == Code::SettingsDiffer),
            "{report}"
        );
        report.problems().iter().map(|p| p.message.clone()).collect()
    };
    let told = differ([&mentions, &own]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].contains("do not exist here (the file mentions none of them)"),
        "{told:#?}"
    );
    assert!(told[0].contains("(the file mentions `fts-indexing`)"), "{told:#?}");
    assert!(
        told[1].contains("`cluster.roles.fts-indexing` is not set here and {"),
        "{told:#?}"
    );
    let told = differ([&own, &mentions]);
    assert_eq!((told.len(), told[0].contains("exist here")), (2, true), "{told:#?}");
    // Nodes compare it as they compare the rest.
    let of = |path: &Path| shared_settings(&shardwright_config::load(path).expect("sound").0).fingerprint();
    assert_ne!(of(&mentions), of(&own));
}

#[test]
fn which_roles_exist_is_explained() {
    let told = |text: &str| explain_roles(&sound(text).0);
    assert_eq!(
        told(OWN),
        "roles: nightly, and none of the mail server's: the file mentions none of them"
    );
    assert!(
        told("").starts_with("roles: none: the file sets no role"),
        "{}",
        told("")
    );
    assert!(told("").contains("preset = \"stalwart\""));
    assert_eq!(
        told("[cluster.roles]\nnightly = { shards = 1 }\nacme.renew = []\n"),
        "roles: nightly, and the mail server's 12: the file mentions `acme.renew`"
    );
    let many: String = (0..20)
        .map(|i| format!("cluster.roles.job-{i:02}.shards = 1\n"))
        .collect();
    assert!(told(&many).contains("job-07, … (20 in all)"), "{}", told(&many));
}
