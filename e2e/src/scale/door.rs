//! What listens at each address: whose instance is asked is told by the address that was dialled.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tandem_proto::value::{Value, decode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::instances::{Answer, Instances};

/// Addresses that lead to this machine while a door is open.
const RANGE: &str = "10.99.0.0/16";
const PORT: u16 = 6379;
const PER_NET: usize = 250;

/// The open door; its addresses are given back at drop.
#[derive(Debug)]
pub struct Door {
    instances: Arc<Mutex<Instances>>,
}

impl Door {
    /// Opens it.
    pub fn open() -> Result<Self> {
        route("replace")?;
        Ok(Self {
            instances: Arc::default(),
        })
    }

    /// The instances behind it.
    pub fn instances(&self) -> Arc<Mutex<Instances>> {
        Arc::clone(&self.instances)
    }

    /// The address of the pod of that number.
    pub fn address(number: usize) -> IpAddr {
        let (net, host) = (number / PER_NET, number % PER_NET + 1);
        IpAddr::V4(Ipv4Addr::new(10, 99, net as u8, host as u8))
    }
}

/// Listens at an address, for as long as the runtime runs in which this is called.
pub(super) async fn listen(address: IpAddr, instances: Arc<Mutex<Instances>>) -> Result<()> {
    let address = SocketAddr::new(address, PORT);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    tokio::spawn(serve(listener, instances));
    Ok(())
}

impl Drop for Door {
    fn drop(&mut self) {
        route("del").ok();
    }
}

/// Locks the instances.
pub(super) fn lock(instances: &Mutex<Instances>) -> MutexGuard<'_, Instances> {
    instances.lock().unwrap_or_else(PoisonError::into_inner)
}

fn route(verb: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(["route", verb, "local", RANGE, "dev", "lo"])
        .output()
        .context("failed to run `ip`")?;
    ensure!(
        output.status.success(),
        "`ip route {verb} local {RANGE} dev lo`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

async fn serve(listener: TcpListener, instances: Arc<Mutex<Instances>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that breaks is the operator's to notice.
        tokio::spawn(talk(stream, Arc::clone(&instances)));
    }
}

async fn talk(mut stream: TcpStream, instances: Arc<Mutex<Instances>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let address = stream.local_addr()?.ip();
    let mut received = Vec::new();
    let mut replies = Vec::new();
    while stream.read_buf(&mut received).await? > 0 {
        while let Some((value, length)) = decode(&received)? {
            received.drain(..length);
            let words: Vec<&str> = value
                .as_elements()
                .unwrap_or_default()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let answer = lock(&instances).answer(address, &words);
            put(&answer, &mut replies);
        }
        stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(())
}

fn put(answer: &Answer, out: &mut Vec<u8>) {
    let text = match answer {
        Answer::Ok => "+OK\r\n".to_owned(),
        Answer::Text(text) => format!("${}\r\n{text}\r\n", text.len()),
        Answer::Error(text) => format!("-{text}\r\n"),
    };
    out.extend_from_slice(text.as_bytes());
}
