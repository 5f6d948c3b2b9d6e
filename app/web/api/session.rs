//! `/api/v1/login` and `/api/v1/ticket`: the cookie for the token, and a ticket for a WebSocket.

use serde_json::{Value, json};

use crate::base::error::{Error, Kind, Result};
use crate::web::auth::ticket::GOOD_FOR;
use crate::web::handler::RequestContext;
use crate::web::http::body::{self, Body};
use crate::web::http::response::{self, Response};

/// A browser stays signed in for so long.
const SIGNED_IN_S: u32 = 30 * 24 * 3600;

/// Gives the cookie for the token.
pub fn log_in(request: &RequestContext<'_>, body: &mut Body<'_>) -> Result<Response> {
    let access = request.access;
    let Some(token) = access.token() else { return Ok(no_token()) };
    let given = match &body::json(body)?["token"] {
        Value::String(given) => given.trim().to_owned(),
        _ => return Err(Error::new(Kind::Usage, "send the token as JSON: {\"token\": \"…\"}")),
    };
    Ok(match access.check(token, request.peer, &given) {
        Ok(()) => {
            let cookie = access.cookie(request.head, token.cookie(), SIGNED_IN_S);
            response::nothing().with("Set-Cookie", cookie)
        }
        Err(refusal) => refusal,
    })
}

/// Takes the cookie back.
pub fn log_out(request: &RequestContext<'_>, _: &mut Body<'_>) -> Result<Response> {
    Ok(match request.access.token() {
        Some(_) => response::nothing().with("Set-Cookie", request.access.cookie(request.head, "", 0)),
        None => no_token(),
    })
}

fn no_token() -> Response {
    response::problem_with(404, "this Spotter has no token; sign-in is disabled")
}

/// A ticket for one WebSocket.
pub fn ticket(request: &RequestContext<'_>) -> Result<Response> {
    let ticket = request.access.give_ticket().map_err(|error| {
        Error::new(Kind::Busy, "the system gives no random numbers for a ticket; try again").caused_by(error)
    })?;
    Ok(response::json(200, &json!({ "ticket": ticket, "good_for_s": GOOD_FOR.as_secs() })))
}
