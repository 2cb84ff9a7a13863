//! A service's TCP front: a stable port whose connections go to the service's present targets.
//!
//! A connection whose target is no target any more is closed, so that the client comes back and is
//! led to the new one. A new connection without target waits a little, then is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tandem_api::InstanceName;
use tandem_plan::Address;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Connections a front holds at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a new connection waits for a target.
const TARGET_WAIT: Duration = Duration::from_secs(1);
/// Deadline of one attempt to reach a target.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// Pause after a target refused, unless the targets change first.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
const BUFFER_BYTES: usize = 64 * 1024;

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) instance: InstanceName,
    pub(super) address: Address,
}

/// A listening front. Dropping it closes the port and every connection.
#[derive(Debug)]
pub(super) struct Front {
    targets: watch::Sender<Arc<[Target]>>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Listens; there is no target yet.
    pub(super) async fn listen(address: &Address) -> std::io::Result<Self> {
        let listener = TcpListener::bind((address.host.as_str(), address.port)).await?;
        let (targets, _) = watch::channel(Arc::from([]));
        let accepting = tokio::spawn(accept(listener, targets.clone()));
        Ok(Self { targets, accepting })
    }

    /// Where it listens is where clients go on; only the targets change.
    pub(super) fn switch(&self, targets: Vec<Target>) {
        self.targets.send_if_modified(|current| {
            let is_new = current[..] != targets[..];
            if is_new {
                *current = targets.into();
            }
            is_new
        });
    }

    /// The present targets.
    pub(super) fn targets(&self) -> Vec<InstanceName> {
        self.targets
            .borrow()
            .iter()
            .map(|target| target.instance.clone())
            .collect()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
        self.targets.send_replace(Arc::from([]));
    }
}

async fn accept(listener: TcpListener, targets: watch::Sender<Arc<[Target]>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, from)) => {
                let watching = targets.subscribe();
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    serve(client, from, watching, turn).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, or a client that went away at once: the port stays open.
                tracing::warn!(%error, "connection not accepted");
                sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

async fn serve(
    mut client: TcpStream,
    from: SocketAddr,
    mut targets: watch::Receiver<Arc<[Target]>>,
    turn: usize,
) {
    let Some((target, mut server)) = reach(&mut targets, turn).await else {
        tracing::debug!(%from, "no target, connection closed");
        return;
    };
    if client
        .set_nodelay(true)
        .and_then(|()| server.set_nodelay(true))
        .is_err()
    {
        return;
    }
    let is_target = |targets: &Arc<[Target]>| targets.contains(&target);
    tokio::select! {
        copied = tokio::io::copy_bidirectional_with_sizes(
            &mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES,
        ) => {
            if let Err(error) = copied {
                tracing::trace!(%error, %from, "connection ended");
            }
        }
        _ = targets.wait_for(|targets| !is_target(targets)) => {
            tracing::debug!(%from, instance = %target.instance, "target moved, connection closed");
        }
    }
}

/// Connects to a target, in turn; waits for one within the bound.
async fn reach(
    targets: &mut watch::Receiver<Arc<[Target]>>,
    turn: usize,
) -> Option<(Target, TcpStream)> {
    let until = Instant::now() + TARGET_WAIT;
    let mut attempt = turn;
    loop {
        let chosen = {
            let present = targets.borrow_and_update();
            (!present.is_empty()).then(|| present[attempt % present.len()].clone())
        };
        attempt = attempt.wrapping_add(1);
        if let Some(target) = chosen {
            let address = (target.address.host.as_str(), target.address.port);
            if let Ok(Ok(server)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                return Some((target, server));
            }
            tokio::select! {
                () = sleep(REFUSED_PAUSE) => {}
                changed = targets.changed() => changed.ok()?,
            }
        } else {
            timeout(
                until.saturating_duration_since(Instant::now()),
                targets.changed(),
            )
            .await
            .ok()?
            .ok()?;
        }
        if Instant::now() >= until {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that says its name to whoever connects, and then echoes.
    async fn backend(name: &'static str) -> (Target, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(name.as_bytes()).await.unwrap();
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        let target = Target {
            instance: InstanceName::parse(&format!("dm-a-{}", &name[1..])).unwrap(),
            address: Address {
                host: "127.0.0.1".into(),
                port,
            },
        };
        (target, task)
    }

    async fn free_address() -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Address {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
        }
    }

    async fn connect(address: &Address) -> TcpStream {
        TcpStream::connect((address.host.as_str(), address.port))
            .await
            .unwrap()
    }

    async fn greeting(stream: &mut TcpStream) -> String {
        let mut word = [0; 2];
        match stream.read_exact(&mut word).await {
            Ok(_) => String::from_utf8_lossy(&word).into_owned(),
            Err(_) => "closed".into(),
        }
    }

    #[tokio::test]
    async fn a_switch_closes_old_connections_and_leads_new_ones_on() {
        let (first, _keep) = backend("b0").await;
        let (second, _keep) = backend("b1").await;
        let address = free_address().await;
        let front = Front::listen(&address).await.unwrap();
        front.switch(vec![first]);
        let mut old = connect(&address).await;
        assert_eq!(greeting(&mut old).await, "b0");
        front.switch(vec![second]);
        assert_eq!(greeting(&mut old).await, "closed");
        assert_eq!(greeting(&mut connect(&address).await).await, "b1");
    }

    #[tokio::test]
    async fn a_connection_without_target_waits_for_one_and_not_for_ever() {
        let (target, _keep) = backend("b0").await;
        let address = free_address().await;
        let front = Front::listen(&address).await.unwrap();
        let mut early = connect(&address).await;
        front.switch(vec![target]);
        assert_eq!(greeting(&mut early).await, "b0");
        front.switch(Vec::new());
        let began = Instant::now();
        assert_eq!(greeting(&mut connect(&address).await).await, "closed");
        assert!(began.elapsed() >= TARGET_WAIT, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn several_targets_take_turns() {
        let (first, _keep) = backend("b0").await;
        let (second, _keep) = backend("b1").await;
        let address = free_address().await;
        let front = Front::listen(&address).await.unwrap();
        front.switch(vec![first, second]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(greeting(&mut connect(&address).await).await);
        }
        seen.sort();
        assert_eq!(seen, ["b0", "b0", "b1", "b1"]);
    }
}
