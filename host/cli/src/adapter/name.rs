//! The names that adapters may have.

use anyhow::bail;

/// The longest name.
const MAX: usize = 32;

/// Refuses what `description.name` must not be, and what no package of the three languages may be called.
pub(super) fn check(name: &str) -> anyhow::Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > MAX || !name.chars().all(fits) {
        bail!("{name:?} cannot be an adapter's name: use 1 to {MAX} of a-z, 0-9 and -");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') || name.contains("--") {
        bail!(
            "{name:?} cannot be an adapter's name: it must begin with a letter, and have a letter or digit on both \
             sides of each -"
        );
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn names_fit_the_contract_and_the_languages() {
        for good in ["a", "etcd", "my-store-2", &"x".repeat(32)] {
            check(good).unwrap();
        }
        for bad in [
            "",
            "Etcd",
            "a_b",
            "a b",
            "../a",
            "a/b",
            "-a",
            "a-",
            "a--b",
            "2a",
            "ä",
            ".",
            &"x".repeat(33),
        ] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("cannot be an adapter's name"), "{error}");
        }
    }
}
