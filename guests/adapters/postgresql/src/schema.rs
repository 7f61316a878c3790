//! The tables and functions: where they are, and how they are made.

use crate::client::{Client, Failure};
use crate::wire::Transport;

/// What an operator may also run by hand.
const SCRIPT: &str = include_str!("../schema.sql");

/// `text`, about tables in this schema instead of the usual one.
pub(crate) fn within(text: &str, schema: &str) -> String {
    text.replace("shardwright", &format!("\"{schema}\""))
}

/// Makes whatever is missing. One transaction, so all or nothing; two at once wait for each other.
pub(crate) fn make<W: Transport>(client: &mut Client<W>, schema: &str) -> Result<(), Failure> {
    client.run(&within(SCRIPT, schema))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn another_schema_is_named_everywhere() {
        let text = within(SCRIPT, "mail");
        assert!(!text.contains("shardwright"), "{text}");
        assert!(text.contains("to_regnamespace('\"mail\"')") && text.contains("\"mail\".entries"));
        // Each function knows the data as format 1, which its name says.
        assert_eq!(text.matches("CREATE OR REPLACE FUNCTION \"mail\".").count(), 3);
        assert_eq!(text.matches("_1(space text").count(), 3);
    }
}
