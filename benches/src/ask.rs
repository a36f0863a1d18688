//! One question to a server, and its answer: for checks and for waiting until it serves.
//!
//! Load is made elsewhere (`load/`).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::work::Work;

/// The longest body that a scenario has, with room.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A server that takes longer for one answer does not serve.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Asks once and checks the answer.
///
/// # Errors
///
/// No answer, another status than 200, or the wrong body.
pub fn check(port: u16, work: &Work) -> Result<()> {
    let (status, body) = once(port, work)?;
    if status != 200 {
        bail!("status {status}: {}", beginning(&body));
    }
    ensure!(
        work.expect.met_by(&body),
        "the body is not what was expected: {}",
        beginning(&body)
    );
    Ok(())
}

/// Asks once.
///
/// # Errors
///
/// No answer in time, or one too long.
pub fn once(port: u16, work: &Work) -> Result<(u16, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        let answer = timeout(ANSWER_MAX, exchange(port, work)).await;
        answer.with_context(|| format!("no answer within {ANSWER_MAX:?}"))?
    })
}

async fn exchange(port: u16, work: &Work) -> Result<(u16, Bytes)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect(address).await.context("connect")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("begin")?;
    let asked = async {
        let response = sender.send_request(request(work, &address)?).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|err| anyhow::anyhow!("read the body: {err}"))?;
        anyhow::Ok((status, body.to_bytes()))
    };
    tokio::pin!(asked);
    tokio::select! {
        answer = &mut asked => answer,
        // The connection may end once the answer is here, and has to be driven until then.
        ended = connection => { ended.context("connection")?; asked.await }
    }
}

/// The request as the load generators send it.
///
/// # Errors
///
/// A path that is none.
pub fn request(work: &Work, address: &SocketAddr) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .uri(&work.path)
        .header("host", address.to_string());
    let mut bytes = Bytes::new();
    if let Some((body, media_type)) = &work.body {
        request = request
            .method(Method::POST)
            .header("content-type", *media_type);
        bytes = body.clone();
    }
    request.body(Full::new(bytes)).context("make the request")
}

fn beginning(body: &[u8]) -> String {
    const SHOWN_MAX: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_MAX)]);
    text.escape_debug().collect()
}
