//! What is logged of a request, and at which level.

use std::io;
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged at INFO and above during a test, without durations.
async fn logged(test: impl Future<Output = ()>) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_ansi(false)
        .without_time()
        .with_writer(lines.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    local(test).await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let without_duration = text
        .lines()
        .map(|line| match line.split_once(" duration_ms=") {
            Some((before, _)) => before.trim(),
            None => line.trim(),
        });
    without_duration.collect::<Vec<_>>().join("\n")
}

/// The same while these requests are sent one after the other.
async fn check(config: IngressConfig, requests: &[&str]) -> String {
    logged(async {
        let door = Door::open(config).await;
        for request in requests {
            door.exchange(&request_text(request)).await;
        }
    })
    .await
}

fn request_text(request: &str) -> String {
    format!("{request} HTTP/1.1\r\nhost: a\r\nx-request-id: r\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn clients_that_left_and_requests_that_were_cut_are_told_apart() {
    let lines = logged(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client
            .write_all(request_text("GET /wait").as_bytes())
            .await
            .unwrap();
        door.guests.begun(1).await;
        drop(client);
        door.guests.dropped(1).await;

        let mut client = door.connect().await;
        client
            .write_all(request_text("GET /wait").as_bytes())
            .await
            .unwrap();
        door.guests.begun(2).await;
        door.phase.send(Phase::Ended).unwrap();
        door.serving.await.unwrap();
    });
    assert_snapshot!(lines.await, @r#"
    INFO midge::access: request served request_id="r" outcome="cancelled" method="GET" path="/wait" status=499 bytes_out=0
    INFO midge::access: request served request_id="r" outcome="draining" method="GET" path="/wait" status=503 bytes_out=0
    "#);
}

#[tokio::test]
async fn each_request_leaves_one_line_with_its_outcome() {
    let requests = [
        "GET /hello?secret=1",
        "HEAD /hello",
        "GET /sized",
        "GET /nothing",
        "GET /half",
        "GET /none",
        "GET /trap",
        "OPTIONS *",
    ];
    assert_snapshot!(check(IngressConfig::roomy(), &requests).await, @r#"
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="responded" method="GET" path="/hello" status=200 bytes_out=5
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="responded" method="HEAD" path="/hello" status=200 bytes_out=0
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="responded" method="GET" path="/sized" status=200 bytes_out=5
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="responded" method="GET" path="/nothing" status=204 bytes_out=0
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="trapped" reason="unreachable" method="GET" path="/half" status=200 bytes_out=4
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="no-route" method="GET" path="/none" status=404 bytes_out=36
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="trapped" reason="unreachable" method="GET" path="/trap" status=502 bytes_out=21
    INFO midge::access: request served request_id="r" outcome="no-route" method="OPTIONS" path="*" status=404 bytes_out=36
    "#);
}

#[tokio::test]
async fn another_namespace_than_default_is_named() {
    assert_snapshot!(check(IngressConfig::roomy(), &["GET /shop"]).await, @r#"INFO midge::access: request served namespace=shop function=guest revision=r1 request_id="r" outcome="no-route" method="GET" path="/shop" status=404 bytes_out=36"#);
}

#[tokio::test]
async fn only_host_faults_are_errors() {
    assert_snapshot!(check(IngressConfig::roomy(), &["GET /host-fault"]).await, @r#"
    ERROR midge_ingress::respond: host fault request_id=r reason="disk on fire"
    INFO midge::access: request served function=guest revision=r1 request_id="r" outcome="host-fault" reason="disk on fire" method="GET" path="/host-fault" status=500 bytes_out=36
    "#);
}

#[tokio::test]
async fn the_log_can_be_switched_off() {
    let config = IngressConfig {
        access_log: false,
        ..IngressConfig::roomy()
    };
    assert_eq!(check(config, &["GET /hello", "GET /trap"]).await, "");
}
