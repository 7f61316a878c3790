use super::*;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use tokio::sync::Notify;
use tokio::task::yield_now;

/// Work that says when it begins and when it ends, and then waits.
struct Diary(mpsc::Sender<(u32, &'static str)>, u32);

impl Drop for Diary {
    fn drop(&mut self) {
        let _ = self.0.send((self.1, "ended"));
    }
}

/// Lets everything that is due run.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_lasts_from_the_grant_to_the_revocation() {
    let test = TestRole::new("r", 4);
    let role = test.role();
    let events = role.events();
    assert!(role.claim_shard(1).is_none() && !role.owns_shard(1));
    test.grant([1, 3]);
    let claim = role.claim_shard(1).expect("held");
    assert!(claim.is_valid() && role.owns_shard(3));
    test.fence();
    assert!(!claim.is_valid() && role.claim_shard(3).is_none());
    drop(claim);
    test.resume();
    let claim = role.claim_shard(1).expect("held again");
    let first = claim.token();
    let (revoked, ()) = tokio::join!(
        async {
            test.revoke([1]).await;
            role.owns_shard(1)
        },
        async {
            claim.cancelled().await;
            assert!(!claim.is_valid());
            drop(claim);
        }
    );
    assert!(!revoked);
    test.grant([1]);
    assert!(role.token(1).expect("held") > first, "tokens grow with every owner");
    drop(test);
    assert!(role.claim_shard(3).is_none(), "the node has ended");
    let kinds = futures_util::StreamExt::collect::<Vec<_>>(events).await;
    let kinds: Vec<_> = kinds
        .iter()
        .map(|event| serde_json::to_value(event).expect("data")["event"].clone())
        .collect();
    assert_eq!(kinds, ["gained", "losing", "lost", "gained", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn each_owned_shard_has_a_task_and_a_handoff_waits_for_it() {
    let test = TestRole::new("r", 4);
    let (send, diary) = mpsc::channel();
    let running = tokio::spawn(test.role().run_owned(move |claim| {
        let _ = send.send((claim.shard(), "began"));
        let diary = Diary(send.clone(), claim.shard());
        async move {
            let _diary = diary;
            std::future::pending::<()>().await;
        }
    }));
    test.grant([0, 2]);
    settle().await;
    assert_eq!(diary.try_iter().collect::<Vec<_>>(), [(0, "began"), (2, "began")]);
    test.revoke([2]).await;
    assert_eq!(diary.try_iter().collect::<Vec<_>>(), [(2, "ended")], "when it is over");
    test.grant([2]);
    settle().await;
    assert_eq!(diary.try_iter().collect::<Vec<_>>(), [(2, "began")]);
    test.fence();
    settle().await;
    assert_eq!(diary.try_iter().filter(|(_, what)| *what == "ended").count(), 2);
    test.resume();
    // Claims that were cancelled are looked at again by and by.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(diary.try_iter().filter(|(_, what)| *what == "began").count(), 2);
    drop(test);
    running.await.expect("it returns when the node has ended");
    assert_eq!(diary.iter().count(), 2, "all have ended, and nobody can begin");
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_the_claim_holds_the_handoff_up_for_an_end_in_good_order() {
    let test = TestRole::new("r", 1);
    let (finish, wait) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let finishing = wait.clone();
    let _running = tokio::spawn(test.role().run_owned(move |claim| {
        let finishing = finishing.clone();
        tokio::spawn(async move {
            claim.cancelled().await;
            finishing.notified().await;
        });
        std::future::ready(())
    }));
    test.grant([0]);
    settle().await;
    let revoking = async {
        test.revoke([0]).await;
        finish.notify_one();
    };
    tokio::pin!(revoking);
    let early = tokio::time::timeout(Duration::from_secs(60), &mut revoking).await;
    early.expect_err("its work has not ended");
    wait.notify_one();
    revoking.await;
    finish.notified().await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_done_is_not_done_again_before_the_shard_is_gained_anew() {
    let test = TestRole::new("r", 2);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let _running = tokio::spawn(test.role().run_owned(move |_claim| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    }));
    test.grant([0]);
    settle().await;
    test.grant([1]);
    test.fence();
    test.resume();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(count.load(Ordering::Relaxed), 2, "once for each");
    test.revoke([0]).await;
    test.grant([0]);
    settle().await;
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_is_tried_again_after_pauses_that_grow() {
    let test = TestRole::new("r", 1);
    let began = tokio::time::Instant::now();
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = tries.clone();
    let _running = tokio::spawn(test.role().run_owned(move |_claim| {
        noted.lock().expect("no panic under it").push(began.elapsed().as_secs());
        async { panic!("planted") }
    }));
    test.grant([0]);
    tokio::time::sleep(Duration::from_secs(200)).await;
    let tries = tries.lock().expect("no panic under it").clone();
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    tokio::time::timeout(Duration::from_secs(1), test.revoke([0]))
        .await
        .expect("a pause holds no handoff up");
}
