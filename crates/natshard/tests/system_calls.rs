//! The steady state makes no system call (I7): a process that has given up all of them but reading,
//! writing and ending goes on leasing, releasing, refilling and recycling, and lives.
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::time::Duration;

use natshard::{Engine, EngineConfig, Lease, PoolConfig, Protocol, Request, Shard, Tick};

/// Runs in a child of one thread; its word is the exit code.
fn in_child(work: impl FnOnce() -> u8) -> i32 {
    // SAFETY: the child runs `work` and ends without unwinding or running handlers of this
    // process; glibc's heap is usable in it.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let word = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(101);
        // Strict mode allows `exit`, which ends a process of one thread, and not `exit_group`.
        // SAFETY: does not return.
        unsafe { libc::syscall(libc::SYS_exit, libc::c_int::from(word)) };
        unreachable!();
    }
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(
        waited,
        child,
        "waitpid: {}",
        std::io::Error::last_os_error()
    );
    status
}

/// From here on a system call other than read, write, exit and sigreturn kills this thread.
fn give_up_system_calls() -> bool {
    const SECCOMP_MODE_STRICT: libc::c_ulong = 1;
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0 }
}

struct Steady {
    engine: Engine,
    shard: Shard,
    request: Request,
    window: VecDeque<Lease>,
    batch: Vec<Lease>,
    now: u64,
}

impl Steady {
    fn new(hold_down: Duration) -> Self {
        let pool = PoolConfig::new("p").prefix("203.0.113.0/30".parse().unwrap());
        let config = EngineConfig::new(2).hold_down(hold_down).pool(pool);
        let engine = Engine::new(config).unwrap();
        Steady {
            shard: engine.shard(0).unwrap(),
            request: Request::new(engine.pool("p").unwrap(), Protocol::Tcp),
            engine,
            window: VecDeque::with_capacity(4096),
            batch: Vec::with_capacity(64),
            now: 0,
        }
    }

    fn run(&mut self, bursts: u64) {
        for _ in 0..bursts {
            self.now += 1;
            let mut burst = self.shard.burst(Tick::from_millis(self.now));
            for _ in 0..32 {
                self.window
                    .push_back(burst.allocate(&self.request).unwrap());
                if self.window.len() > 2000 {
                    burst.release(self.window.pop_front().unwrap());
                }
            }
            let had = burst.allocate_batch(&self.request, 32, &mut self.batch);
            assert_eq!(had, Ok(32));
            burst.release_batch(&mut self.batch);
        }
    }

    fn recycled(&self) -> u64 {
        self.engine.stats().shards[0].blocks_recycled
    }
}

#[test]
fn i7_the_steady_state_makes_no_system_call() {
    for hold_down in [Duration::from_millis(500), Duration::ZERO] {
        let status = in_child(|| {
            let mut steady = Steady::new(hold_down);
            steady.run(20_000);
            let before = steady.recycled();
            steady.run(20_000);
            if steady.recycled() - before < 1_000 {
                return 3;
            }
            if !give_up_system_calls() {
                return 4;
            }
            // What the 20,000 before did, they do again.
            steady.run(20_000);
            // Dropping it would give memory back to the system.
            std::mem::forget(steady);
            0
        });
        assert!(
            libc::WIFEXITED(status),
            "{hold_down:?}: killed by signal {}, which a system call does",
            libc::WTERMSIG(status)
        );
        match libc::WEXITSTATUS(status) {
            0 => {}
            3 => panic!("{hold_down:?}: blocks do not go round"),
            4 => panic!("the kernel knows no strict mode of seccomp"),
            other => panic!("{hold_down:?}: exit code {other}"),
        }
    }
}

/// That the test above can fail.
#[test]
fn a_system_call_is_noticed() {
    let status = in_child(|| {
        if !give_up_system_calls() {
            return 4;
        }
        // SAFETY: takes nothing.
        unsafe { libc::getppid() };
        0
    });
    assert!(libc::WIFSIGNALED(status), "{status}");
    assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
}
