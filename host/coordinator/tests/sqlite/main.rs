//! The file backend among real processes, and among all that can happen to a file.

mod child;
mod examine;
mod files;
mod processes;

/// The other processes of the tests run this. By itself it shows that such a process comes to life, plays its role and
/// ends.
#[tokio::test]
async fn child() {
    let Some((role, path)) = child::role() else {
        let process = child::Process::start("greet", std::path::Path::new("somewhere"));
        return assert_eq!(process.rest(), ["hello from somewhere"]);
    };
    match role.as_str() {
        "greet" => child::say(&format!("hello from {}", path.display())),
        "open" | "fill" => files::play(&role, &path).await,
        _ => processes::play(&role, &path).await,
    }
}
