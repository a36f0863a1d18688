//! What web pages make somebody's browser ask.

use super::kit::Stage;

/// One request, with this host.
async fn ask(stage: &Stage, line: &str, host: &str, fields: &str) -> String {
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
         {fields}\r\n",
        stage.token
    );
    stage.raw(request.as_bytes()).await
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_is_not_this_door() {
    for stage in [Stage::open().await, Stage::open_to_all().await] {
        let port = stage.address.port();
        for own in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
            let answer = ask(&stage, "GET /v1/whoami", &own, "").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{own}: {answer}");
        }
        let evil = format!("evil.example:{port}");
        let fields = "sec-fetch-site: same-origin\r\ncontent-length: 0\r\n";
        let rebound = ask(&stage, "POST /v1/secrets/rotate-key", &evil, fields).await;
        assert!(rebound.starts_with("HTTP/1.1 421"), "{rebound}");
        assert!(rebound.contains("\"code\":\"misdirected\""), "{rebound}");
        // Who watches over the node may call it what it likes.
        let health = ask(&stage, "GET /healthz", "node-7", "").await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_asks_nothing() {
    let stage = Stage::open_to_all().await;
    let host = stage.address.to_string();
    let rotate = "POST /v1/secrets/rotate-key";
    for foreign in [
        "origin: http://evil.example\r\n".to_owned(),
        "origin: null\r\n".to_owned(),
        "origin: http://localhost:3000\r\n".to_owned(),
        "sec-fetch-site: cross-site\r\n".to_owned(),
        "sec-fetch-site: same-site\r\n".to_owned(),
        format!("origin: http://{host}\r\norigin: http://evil.example\r\n"),
    ] {
        let fields = format!("{foreign}content-type: text/plain\r\ncontent-length: 0\r\n");
        let answer = ask(&stage, rotate, &host, &fields).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{foreign}: {answer}");
        assert!(answer.contains("\"code\":\"foreign-origin\""), "{answer}");
        assert!(!answer.contains("access-control"), "{answer}");
    }
    let own = format!("origin: http://{host}\r\nsec-fetch-site: same-origin\r\n");
    let answer = ask(&stage, "GET /v1/whoami", &host, &own).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_request_that_could_be_read_in_two_ways_is_refused() {
    let stage = Stage::open().await;
    let twice = ask(&stage, "GET /v1/whoami", "localhost\r\nhost: localhost", "").await;
    assert!(twice.starts_with("HTTP/1.1 400"), "{twice}");
    // Whichever length is believed, nothing that follows is taken for a request.
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
    ] {
        let request = format!(
            "POST /v1/secrets/rotate-key HTTP/1.1\r\nhost: localhost\r\n\
             authorization: Bearer {}\r\n{fields}\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            stage.token
        );
        let answers = stage.raw(request.as_bytes()).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
}
