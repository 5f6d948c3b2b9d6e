//! `/healthz` and `/readyz`: for whatever restarts programs, and whatever sends work to them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::base::error::Result;
use crate::live::context::Context;
use crate::live::status_report::status_json;
use crate::live::watchdog::STUCK;
use crate::web::handler::RequestContext;
use crate::web::http::response::{self, Response};

/// Which thread hangs, as a sentence.
fn trouble(context: &Context) -> Option<String> {
    let (name, silent) = context.heartbeats.stuck(Instant::now(), STUCK)?;
    Some(format!("the {name} thread has given no sign of life for {} s; restart Spotter", silent.as_secs()))
}

/// 200 while the threads work; the source may be away, which the body says.
pub fn live(request: &RequestContext<'_>) -> Result<Response> {
    Ok(answer(request.context, trouble(request.context)))
}

/// 200 only while frames come and go through the model.
pub fn ready(request: &RequestContext<'_>) -> Result<Response> {
    let why = trouble(request.context).or_else(|| {
        let value = status_json(request.context);
        let told = value["message"].as_str().map(str::to_owned);
        let why = || {
            told.unwrap_or_else(|| format!("nothing is detected yet, the state is {}", text(&value["state"])))
        };
        (!request.context.is_detecting()).then(why)
    });
    Ok(answer(request.context, why))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("not known")
}

fn answer(context: &Context, trouble: Option<String>) -> Response {
    let value = status_json(context);
    let detecting = context.is_detecting();
    let more = json!({ "detecting": detecting, "state": value["state"], "message": value["message"] });
    match trouble {
        Some(why) => response::problem_about(503, &why, more),
        None => {
            let mut body = json!({ "status": "ok" });
            response::extend(&mut body, more);
            response::json(200, &body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::capture::supervisor::SourceState;
    use crate::detect::model_info::ModelInfo;
    use crate::live::status::SourceInfo;
    use crate::live::watchdog::WatchedThread;
    use crate::settings::Overrides;
    use crate::settings::shared::SharedSettings;

    #[test]
    fn health_and_readiness_are_told_apart() {
        let settings = SharedSettings::new(Overrides::default());
        let mut context = Context::new(SourceInfo::default(), Arc::<ModelInfo>::default(), settings);
        let reconnecting = SourceState::Reconnecting { message: "lost".into(), wait: Duration::from_secs(9) };
        context.status.set_source(reconnecting);
        assert_eq!(trouble(&context), None);
        assert!(!context.is_detecting());
        context.status.set_source(SourceState::Live { detail: None });
        context.stats.inferred.fetch_add(1, Ordering::Relaxed);
        assert!(context.is_detecting());
        context.heartbeats.beat(WatchedThread::Inference);
        assert_eq!(trouble(&context), None);
        // A thread that was alive two minutes ago.
        context.heartbeats =
            crate::live::watchdog::tests::silent_for(Duration::from_secs(120), WatchedThread::Inference);
        let why = trouble(&context).unwrap();
        assert!(why.starts_with("the inference thread has given no sign of life for 12"), "{why}");
        let response = answer(&context, Some(why));
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status(), &body["status"], &body["state"]), (503, &json!(503), &json!("live")));
        let body: Value = serde_json::from_slice(answer(&context, None).body()).unwrap();
        assert_eq!((&body["status"], &body["detecting"]), (&json!("ok"), &json!(true)));
    }
}
