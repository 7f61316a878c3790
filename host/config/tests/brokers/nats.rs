//! Sections of type `nats`.

use crate::{CREDENTIALS, SECOND, SEED, nats, refused, secrets};
use shardwright_config::{Code, NatsLogin, NatsSection, Secret, TlsSection};

#[test]
fn nats_in_either_key_style() {
    let kebab = "address = [\"a:1\", \"tls://b:2\"]\ntimeout.connection = \"2s\"\ntimeout.request = \
                 \"3s\"\nping-interval = \"4s\"\nreplicas = 3\nmax-reconnects = \"5\"\ntls.enable = \
                 true\ncapacity.client = 6\ncapacity.subscription = 7\ncapacity.read-buffer = 8\nuser = \
                 \"u\"\npassword = \"p\"\n";
    let camel = "addresses = [\"a:1\", \"tls://b:2\"]\ntimeoutConnection = 2000\ntimeoutRequest = 3000\npingInterval \
                 = 4000\nreplicas = 3\nmaxReconnects = 5\nuseTls = true\ncapacityClient = 6\ncapacitySubscription = \
                 7\ncapacityReadBuffer = 8\nauthUsername = \"u\"\nauthSecret = \"p\"\n";
    let wanted = NatsSection {
        id: "main".into(),
        addresses: secrets(&["a:1", "tls://b:2"]),
        login: NatsLogin::User {
            user: "u".into(),
            password: Secret::new("p"),
        },
        tls: Some(TlsSection::default()),
        replicas: 3,
        timeout_connection: 2 * SECOND,
        timeout_request: 3 * SECOND,
        ping_interval: 4 * SECOND,
        capacity_client: 6,
        capacity_subscription: 7,
        capacity_read_buffer: 8,
        max_reconnects: Some(5),
    };
    assert_eq!((nats(kebab), nats(camel)), (wanted.clone(), wanted));
    assert_eq!(nats("address = \"h\"\nmax-reconnects = false").max_reconnects, None);
    assert_eq!(nats("address = \"h\"\nreplicas = 5").replicas, 5);
}

#[test]
fn nats_logins() {
    let login = |lines: &str| nats(&format!("address = \"h\"\n{lines}")).login;
    assert_eq!(login("token = \"t\""), NatsLogin::Token(Secret::new("t")));
    assert_eq!(login(&format!("nkey = \"{SEED}\"")), NatsLogin::Nkey(Secret::new(SEED)));
    let credentials = NatsLogin::Credentials(Secret::new(CREDENTIALS));
    assert_eq!(login(&format!("credentials = '''\n{CREDENTIALS}'''")), credentials);
    let file = tempfile::NamedTempFile::new().unwrap();
    // One line end at the end of a file is taken for the editor's.
    std::fs::write(file.path(), format!("{CREDENTIALS}\n")).unwrap();
    let path = file.path().display();
    for form in [
        format!("{path:?}"),
        format!("\"%{{file:{path}}}%\""),
        format!("{{ file = {path:?} }}"),
    ] {
        assert_eq!(login(&format!("credentials = {form}")), credentials, "{form}");
    }
}

#[test]
fn nats_refusals() {
    let h = |lines: &str| format!("address = \"h\"\n{lines}");
    refused("nats", "address = «\"http://h\"»", Code::InvalidValue, "`tls://`");
    refused(
        "nats",
        "address = [\"h\", «\"\"»]\nreplicas = 1",
        Code::InvalidValue,
        "is empty",
    );
    refused(
        "nats",
        "address = [«\"nats://a\"», \"tls://b\"]\nreplicas = 1",
        Code::InvalidValue,
        "others without",
    );
    for even in [2, 4] {
        refused(
            "nats",
            &h(&format!("replicas = «{even}»")),
            Code::OutOfRange,
            "1, 3 or 5",
        );
    }
    refused("nats", &h("replicas = «6»"), Code::OutOfRange, "from 1 to 5");
    refused("nats", &h("tls.enable = «1»"), Code::WrongType, "`true` or `false`");
    refused(
        "nats",
        &h("capacity.client = «\"99999999999\"»"),
        Code::OutOfRange,
        "from 1 to",
    );
    refused("nats", &h("capacity.subscription = «0»"), Code::OutOfRange, "from 1 to");
    refused("nats", &h("capacity.read-buffer = «65536»"), Code::OutOfRange, "65535");
    refused("nats", &h("max-reconnects = «true»"), Code::WrongType, "an integer");
    refused(
        "nats",
        &h("ping-interval = «\"2 days\"»"),
        Code::InvalidValue,
        "with its unit",
    );
    refused(
        "nats",
        &h("timeout.connection = «false»"),
        Code::WrongType,
        "a duration",
    );
    refused("nats", &h("timeout.request = «true»"), Code::WrongType, "a duration");
    refused("nats", &h("«user» = \"u\""), Code::MissingKey, "add `password`");
    refused("nats", &h("«password» = \"p\""), Code::MissingKey, "add `user`");
    refused(
        "nats",
        &h(&format!("token = \"t\"\n«nkey» = \"{SEED}\"")),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        &h("user = \"u\"\npassword = \"p\"\n«token» = \"t\""),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        &h(&format!("nkey = \"{SEED}\"\n«credentials» = '''{CREDENTIALS}'''")),
        Code::ConflictingKeys,
        "one login",
    );
    refused(
        "nats",
        "address = \"nats://u:p@h\"\n«token» = \"t\"",
        Code::ConflictingKeys,
        "in an address",
    );
    refused(
        "nats",
        &h("nkey = «\"UABCDEFG\"»"),
        Code::InvalidValue,
        "not the public key",
    );
    refused(
        "nats",
        &h("credentials = «'''\n-----BEGIN CERTIFICATE-----\n'''»"),
        Code::InvalidValue,
        "a JWT and a seed",
    );
    refused(
        "nats",
        &h("credentials = «\"/no/such/file\"»"),
        Code::MissingSecret,
        "/no/such/file",
    );
}

#[test]
fn an_empty_text_is_no_value() {
    let h = "address = \"h\"\n";
    refused(
        "nats",
        &format!("{h}token = «\"\"»"),
        Code::InvalidValue,
        "leave the key out",
    );
    refused(
        "nats",
        &format!("{h}user = «\"\"»\npassword = \"p\""),
        Code::InvalidValue,
        "leave the key out",
    );
    refused(
        "redis",
        "url = \"redis://h\"\nredis-type = \"sentinel\"\nservice-name = «\"\"»",
        Code::InvalidValue,
        "is empty",
    );
    refused("sqlite", "path = «\"\"»", Code::InvalidValue, "is empty");
}
