//! The user that `sql/grants.sql` describes, and users with less.

use super::*;

/// The words of the line in `sql/grants.sql`.
fn documented() -> Vec<String> {
    let line = include_str!("../../../sql/grants.sql")
        .lines()
        .find(|line| line.contains("SETUSER auditor_checkpoint"))
        .unwrap();
    let words = line.trim_start_matches("--").split_ascii_whitespace();
    words.map(str::to_owned).collect()
}

async fn with_user(redis: &RedisServer, words: &[String]) -> Site {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    redis.command(&words).await.unwrap();
    let login = "user = \"auditor_checkpoint\"\npassword = \"change-me\"";
    let site = Site::new(&redis.url(), "");
    let path = site.path().join("job.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[checkpoint]", &format!("{login}\n[checkpoint]")),
    )
    .unwrap();
    site
}

#[tokio::test]
async fn the_documented_grants_are_enough_and_needed() {
    for program in RedisProgram::present().unwrap() {
        let redis = server(Some(&program), &[]).await;
        let site = with_user(&redis, &documented()).await;
        let planted = "auditor-heartbeat 1 1 aa bb 1";
        redis.command(&["SET", HEARTBEAT, planted]).await.unwrap();
        let run = site.checkpoint(&[]);
        assert_eq!(run.code, Some(0), "{program:?}: {run:?}");
        assert_eq!(length(&redis, EVIDENCE).await, 1);
        assert!(text(&redis, STATE).await.is_some());
        assert!(!run.stderr.contains("not copied"), "{run:?}");

        for missing in ["+eval", "+set", "+xadd", "+get", "+info", "+xrevrange"] {
            let mut words = documented();
            words.retain(|word| word != missing && (missing != "+eval" || word != "+evalsha"));
            let site = with_user(&redis, &words).await;
            redis.command(&["SET", HEARTBEAT, planted]).await.unwrap();
            redis.command(&["DEL", EVIDENCE]).await.unwrap();
            let run = site.checkpoint(&[]);
            assert_eq!(run.code, Some(3), "{program:?} without {missing}: {run:?}");
            assert!(run.stderr.contains("grant the"), "{missing}: {run:?}");
            assert_eq!(text(&redis, HEARTBEAT).await.unwrap(), planted, "{missing}");
            assert_eq!(
                length(&redis, EVIDENCE).await,
                0,
                "{program:?}: {missing}: all or nothing"
            );
        }
    }
}
