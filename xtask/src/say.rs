//! Where a check speaks: at once, or, while others run beside it, all together when it has ended.

use std::cell::RefCell;
use std::io::Write;

thread_local! {
    static KEPT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `perform` and keeps everything that this thread says meanwhile.
pub(crate) fn kept<T>(perform: impl FnOnce() -> T) -> (T, String) {
    KEPT.set(Some(String::new()));
    let value = perform();
    (value, KEPT.take().unwrap_or_default())
}

/// Whether what this thread says is kept.
pub(crate) fn is_kept() -> bool {
    KEPT.with_borrow(Option::is_some)
}

/// Says a line.
pub(crate) fn line(text: &str) {
    let kept = KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.extend([text, "\n"])));
    if kept.is_none() {
        block(&format!("{text}\n"));
    }
}

/// Shows `text` at once; nothing comes between its lines.
pub(crate) fn block(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever reads it may have gone; the exit status is still true.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn what_is_said_is_kept_for_this_thread_alone() {
        let (value, text) = kept(|| {
            line("one");
            assert!(is_kept());
            std::thread::scope(|scope| scope.spawn(|| assert!(!is_kept())).join().unwrap());
            line("two");
            3
        });
        assert_eq!((value, text.as_str()), (3, "one\ntwo\n"));
        assert!(!is_kept());
    }
}
