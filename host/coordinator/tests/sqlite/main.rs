//! The file backend among real processes, and among all that can happen to a file.

mod child;
mod files;
mod processes;

/// The other processes of the tests run this.
#[tokio::test]
#[ignore = "a part of the other tests, run in processes of their own"]
async fn child() {
    let Some((role, path)) = child::role() else { return };
    match role.as_str() {
        "open" | "fill" => files::play(&role, &path).await,
        _ => processes::play(&role, &path).await,
    }
}
