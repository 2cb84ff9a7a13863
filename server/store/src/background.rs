//! Threads that step back behind those that serve clients.

/// How much nicer than the process a thread in the background is: all of them alike, since one that
/// holds a lock must not wait for another. They still get a quarter of a core that is busy with
/// clients, so that their work ends.
const NICER: i32 = 5;
/// The nicest there is.
const NICEST: i32 = 19;

/// Makes the calling thread nicer, for as long as it lives: a process without privileges cannot take
/// that back. Where the system refuses, the thread goes on as it was.
pub fn step_back() {
    // Without a process named, Linux means the calling thread.
    if let Ok(now) = rustix::process::getpriority_process(None) {
        rustix::process::setpriority_process(None, (now + NICER).min(NICEST)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_steps_back() {
        let nice = || rustix::process::getpriority_process(None).expect("own priority");
        let before = nice();
        let behind = std::thread::spawn(move || {
            step_back();
            nice()
        });
        let behind = behind.join().expect("the thread ends");
        assert_eq!(behind, (before + NICER).min(NICEST));
        assert_eq!(nice(), before);
    }
}
