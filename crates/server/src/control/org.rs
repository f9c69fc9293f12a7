//! The org: what admins submit, and what they are shown.

use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, extract::rejection::JsonRejection};
use serde::{Deserialize, Serialize};
use slipway_api::org::{Submit, Submitted};
use slipway_trust::desk::Kind;

use super::{Desk, failure, stopping};
use crate::trust::{NotTaken, Plane, Served};

/// The org's resources.
pub(super) fn router() -> Router<Desk> {
    Router::new()
        .route("/v1/org", get(status))
        .route("/v1/org/records", post(submit))
        .route("/v1/org/windows", get(async |desk| ask(desk, |org| Ok(org.plane.windows())).await))
        .route("/v1/org/invites", get(async |desk| ask(desk, |org| Ok(org.plane.invites())).await))
        .route("/v1/org/tickets", get(tickets))
        .route("/v1/org/tickets/{id}", get(ticket))
        .route("/v1/org/machines", get(async |desk| ask(desk, |org| Ok(org.plane.org_machines())).await))
        .route("/v1/org/ek-list", get(async |desk| ask(desk, |org| Ok(org.plane.ek_list())).await))
        .route("/v1/org/audit", get(audit))
}

type Failed = (StatusCode, String);

/// Asks the org, where there is one. It may be busy writing: not on the threads that serve HTTP to machines.
async fn ask<T: Serialize + Send + 'static>(
    State(desk): State<Desk>,
    question: impl FnOnce(&Served) -> Result<T, Failed> + Send + 'static,
) -> Response {
    let Some(org) = desk.org.load_full() else {
        let error = "there is no org here: `slipway org init` makes one, then `systemctl reload slipway`".to_owned();
        return failure(StatusCode::NOT_FOUND, error);
    };
    match tokio::task::spawn_blocking(move || question(&org)).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err((status, error))) => failure(status, error),
        Err(_) => stopping(),
    }
}

async fn status(desk: State<Desk>) -> Response {
    ask(desk, |org| Ok(org.plane.status(&org.listen))).await
}

async fn submit(desk: State<Desk>, body: Result<Json<Submit>, JsonRejection>) -> Response {
    let Json(Submit { kind, record }) = match body {
        Ok(body) => body,
        Err(error) => return failure(StatusCode::BAD_REQUEST, error.body_text()),
    };
    ask(desk, move |org| take(&org.plane, &kind, &record)).await
}

fn take(plane: &Arc<Plane>, kind: &str, record: &str) -> Result<Submitted, Failed> {
    let malformed = |error: String| (StatusCode::BAD_REQUEST, error);
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = kind.ok_or_else(|| malformed("there is no such kind of record".to_owned()))?;
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(record.as_bytes());
    let bytes = bytes.map_err(|_| malformed("a record is in hexadecimal digits".to_owned()))?;
    let signed = slipway_trust::decode(&bytes).map_err(|error| malformed(error.to_string()))?;
    let taken = plane.submit(kind, &signed).map_err(|not| match not {
        NotTaken::Objection(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        NotTaken::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
    })?;
    Ok(Submitted { event: taken.event.to_owned(), subject: taken.subject, summary: taken.summary })
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
}

async fn tickets(desk: State<Desk>, Query(which): Query<Which>) -> Response {
    ask(desk, move |org| Ok(org.plane.tickets(which.all))).await
}

async fn ticket(desk: State<Desk>, UrlPath(id): UrlPath<String>) -> Response {
    let missing = || (StatusCode::NOT_FOUND, format!("nobody asks under the ticket {id:?}: `slipway requests`"));
    let found = id.parse().map_err(|_| missing());
    let missing = missing();
    ask(desk, move |org| org.plane.ticket(&found?).ok_or(missing)).await
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

async fn audit(desk: State<Desk>, Query(From { from }): Query<From>) -> Response {
    let failed = |error| (StatusCode::INTERNAL_SERVER_ERROR, crate::dhcp::story(&error));
    ask(desk, move |org| org.plane.audit(from).map_err(failed)).await
}
