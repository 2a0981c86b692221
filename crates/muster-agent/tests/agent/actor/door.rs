//! The two doors of the played site: enrolment, and the management point.

use super::{Site, State};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use muster_model::{
    chunk::{CHUNK_LIST_TYPE, ChunkRanges},
    enrol::{EnrolAnswer, EnrolPoll, EnrolRequest, RenewAnswer, RenewRequest},
    id::Hash,
    policy::{Assignment, Recipient},
    problem::{Code, Problem},
    report::{Batch, REPORT_TYPE, ReportAnswer},
    time::{DAY, UnixMillis},
};
use muster_trust::{PrivateKey, PublicKey, certificate, envelope, sequence};
use rustls::ServerConfig;
use std::{convert::Infallible, io, sync::Arc};
use tokio::net::TcpListener;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Enrol,
    ManagementPoint,
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

pub(super) async fn serve(site: Arc<Site>, listener: TcpListener, config: Arc<ServerConfig>, door: Door) {
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    // What stands ends with the door.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        if door == Door::ManagementPoint && site.state().mischief.away {
            continue;
        }
        let (site, acceptor) = (site.clone(), acceptor.clone());
        connections.spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let service = hyper::service::service_fn(move |request| answer(site.clone(), door, request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

/// An error closes the connection without an answer.
async fn answer(site: Arc<Site>, door: Door, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let mut answer = match (door, head.method, path.as_str()) {
        (Door::Enrol, Method::GET, "/enrol/v1/trust-bundle")
        | (Door::ManagementPoint, Method::GET, "/mp/v1/trust-bundle") => {
            whole(StatusCode::OK, "application/cose", site.state().bundle.clone())
        }
        (_, Method::GET, path) if path.contains("/v1/trust-bundle/") => {
            let version = path.rsplit('/').next().and_then(|version| version.parse().ok()).unwrap_or(0);
            match site.state().bundles.get(&version) {
                Some(bundle) => whole(StatusCode::OK, "application/cose", bundle.clone()),
                None => refuse(Code::NotFound, None),
            }
        }
        (Door::Enrol, Method::POST, "/enrol/v1/requests") => enrol(&site, &body)?,
        (Door::Enrol, Method::POST, "/enrol/v1/requests/poll") => poll(&site, &body),
        (Door::ManagementPoint, method, path) => {
            if site.state().mischief.away {
                return Err(io::Error::other("away"));
            }
            site.state().requests += 1;
            let header = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
            management_point(&site, &method, path, header(header::IF_NONE_MATCH), header(header::RANGE), &body)?
        }
        _ => refuse(Code::NotFound, None),
    };
    // Without it, the server's own date is the real one.
    if let Some(date) = site.state().date {
        let date = jiff::Timestamp::from_millisecond(date.0).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        answer.headers_mut().insert(header::DATE, date.parse().unwrap());
    }
    site.tell();
    Ok(answer)
}

fn whole(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).header(header::CONTENT_TYPE, media_type).body(body).unwrap()
}

fn json(value: &impl serde::Serialize) -> Answer {
    whole(StatusCode::OK, "application/json", serde_json::to_vec(value).unwrap())
}

fn refuse(code: Code, expected: Option<u64>) -> Answer {
    let problem = Problem { expected, ..Problem::new(code, "Refused by the test.") };
    let status = StatusCode::from_u16(code.status()).unwrap();
    whole(status, "application/problem+json", serde_json::to_vec(&problem).unwrap())
}

fn enrol(site: &Site, body: &[u8]) -> io::Result<Answer> {
    let request: EnrolRequest = serde_json::from_slice(body).map_err(io::Error::other)?;
    let key = certificate::signing_request_key(&BASE64.decode(&request.csr).unwrap()).map_err(io::Error::other)?;
    assert!(request.claims.is_well_formed());
    {
        let mut state = site.state();
        // A used token is repeated only with its key.
        let bound = state.used_secrets.entry(request.secret).or_insert_with(|| key.clone()).clone();
        if bound != key {
            return Ok(refuse(Code::TokenUsed, None));
        }
        state.request.get_or_insert((key, false));
        if state.mischief.drop_enrolments > 0 {
            state.mischief.drop_enrolments -= 1;
            return Err(io::Error::other("the answer is lost"));
        }
    }
    Ok(enrolment_state(site))
}

fn poll(site: &Site, body: &[u8]) -> Answer {
    let Some((key, _)) = site.state().request.clone() else { return refuse(Code::NotFound, None) };
    let poll = envelope::open1_json::<EnrolPoll>(body, |id| (*id == key.id()).then_some(key.clone()));
    match poll {
        Ok(poll) if poll.value().enrolment == site.enrolment && poll.value().site == site.code => enrolment_state(site),
        _ => refuse(Code::SignatureInvalid, None),
    }
}

fn enrolment_state(site: &Site) -> Answer {
    let (key, approved) = site.state().request.clone().unwrap();
    if approved {
        return json(&EnrolAnswer::Active {
            device: site.device,
            certificates: certificates(site, &key, site.now),
            management_points: vec![site.mp_address.clone()],
        });
    }
    let empty = Assignment {
        site: site.code,
        recipient: Recipient::Enrolment(site.enrolment),
        version: 1,
        issued: super::now(),
        expires: super::now().plus(7 * DAY),
        trust_version: 1,
        bodies: Vec::new(),
    };
    let assignment = BASE64.encode(envelope::sign1_json(&site.keys.policy, &empty).unwrap());
    json(&EnrolAnswer::Pending { enrolment: site.enrolment, retry_after: 1, assignment })
}

fn certificates(site: &Site, key: &PublicKey, now: UnixMillis) -> Vec<String> {
    let other = PrivateKey::generate().unwrap();
    let key = if site.state().mischief.foreign_certificate { other.public() } else { key };
    let client = site.keys.ca.client(site.code, site.device, key, now).unwrap();
    vec![BASE64.encode(client.der), BASE64.encode(site.keys.ca.certificate())]
}

fn management_point(
    site: &Arc<Site>,
    method: &Method,
    path: &str,
    if_none_match: Option<&str>,
    range: Option<&str>,
    body: &[u8],
) -> io::Result<Answer> {
    let hash = |prefix: &str| path.strip_prefix(prefix).and_then(|hash| hash.parse::<Hash>().ok());
    if let (&Method::GET, Some(hash)) = (method, hash("/mp/v1/bodies/")) {
        let body = site.state().bodies.get(&hash).cloned();
        return Ok(
            body.map_or(refuse(Code::NotFound, None), |body| whole(StatusCode::OK, "application/octet-stream", body))
        );
    }
    if let (&Method::GET, Some(hash)) = (method, hash("/mp/v1/content/")) {
        return Ok(content(&mut site.state(), hash, range));
    }
    if let Some(hash) = hash("/mp/v1/chunks/") {
        let mut state = site.state();
        return Ok(match method {
            &Method::GET => match state.lists.get(&hash) {
                Some(list) => whole(StatusCode::OK, CHUNK_LIST_TYPE, list.clone()),
                None => refuse(Code::NotFound, None),
            },
            _ => chunks(&mut state, hash, &serde_json::from_slice(body).map_err(io::Error::other)?),
        });
    }
    if let (&Method::GET, Some(hash)) = (method, hash("/mp/v1/content-peers/")) {
        let mut state = site.state();
        state.grants_asked += 1;
        return Ok(match state.grants.get(&hash) {
            Some(grant) => whole(StatusCode::OK, "application/cose", grant.clone()),
            None => whole(StatusCode::NO_CONTENT, "application/cose", Bytes::new()),
        });
    }
    match (method, path) {
        (&Method::POST, "/mp/v1/content-peers") => {
            site.state().announced.push(serde_json::from_slice(body).map_err(io::Error::other)?);
            Ok(whole(StatusCode::NO_CONTENT, "application/cose", Bytes::new()))
        }
        (&Method::GET, "/mp/v1/assignment") => {
            let state = site.state();
            if if_none_match == Some(&format!("\"{}\"", state.version)) && state.mischief.too_large_over.is_none() {
                return Ok(whole(StatusCode::NOT_MODIFIED, "application/cose", Bytes::new()));
            }
            Ok(whole(StatusCode::OK, "application/cose", state.assignment.clone()))
        }
        (&Method::GET, "/mp/v1/live") => Ok(live(site)),
        (&Method::POST, "/mp/v1/reports") => report(site, body),
        (&Method::POST, "/mp/v1/sealing-key") => {
            site.state().sealing_keys.push(body.to_vec());
            site.tell();
            Ok(whole(StatusCode::NO_CONTENT, "application/cose", Bytes::new()))
        }
        (&Method::POST, "/mp/v1/certificate") => {
            let request: RenewRequest = serde_json::from_slice(body).map_err(io::Error::other)?;
            let csr = BASE64.decode(&request.csr).map_err(io::Error::other)?;
            let key = certificate::signing_request_key(&csr).map_err(io::Error::other)?;
            let certificates = certificates(site, &key, super::now());
            Ok(json(&RenewAnswer { certificates, management_points: vec![site.mp_address.clone()] }))
        }
        _ => Ok(refuse(Code::NotFound, None)),
    }
}

fn content(state: &mut State, hash: Hash, range: Option<&str>) -> Answer {
    state.ranges.push(range.map(str::to_owned));
    let bytes = match state.contents.get(&hash) {
        Some(bytes) if !state.mischief.refuse_content => bytes,
        _ => return refuse(Code::NotFound, None),
    };
    let from = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()).unwrap_or(0);
    let mut rest = Bytes::copy_from_slice(&bytes[from.min(bytes.len())..]);
    let answer = Response::builder().status(if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    let answer = answer.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()));
    let cut = state.mischief.cut_content.filter(|cut| *cut < rest.len());
    rest.truncate(cut.unwrap_or(rest.len()));
    let pieces = futures_util::stream::iter([Ok(Frame::data(rest))]);
    // What was sent shall arrive before the connection breaks.
    let end = futures_util::stream::once(async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Err(io::Error::other("cut"))
    });
    let body = match cut {
        Some(_) => BodyExt::boxed(StreamBody::new(
            Box::pin(pieces.chain(end)) as std::pin::Pin<Box<dyn futures_util::Stream<Item = _> + Send + Sync>>
        )),
        None => BodyExt::boxed(StreamBody::new(pieces)),
    };
    answer.body(body).unwrap()
}

fn chunks(state: &mut State, hash: Hash, wanted: &ChunkRanges) -> Answer {
    let stored = &state.stored[&hash];
    wanted.check(stored.len() as u64).unwrap();
    let at = |number: u64| usize::try_from(number).unwrap();
    let mut bytes: Vec<u8> =
        wanted.ranges.iter().flat_map(|(first, length)| &stored[at(*first)..at(first + length)]).copied().collect();
    state.asked.push(wanted.ranges.clone());
    if state.mischief.endless_chunks {
        bytes.extend_from_slice(&[0; 1_000]);
    }
    let cut = state.mischief.cut_chunks.take().filter(|cut| *cut < bytes.len());
    bytes.truncate(cut.unwrap_or(bytes.len()));
    let pieces = futures_util::stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    let end = futures_util::stream::once(async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        Err(io::Error::other("cut"))
    });
    let body = match cut {
        Some(_) => BodyExt::boxed(StreamBody::new(
            Box::pin(pieces.chain(end)) as std::pin::Pin<Box<dyn futures_util::Stream<Item = _> + Send + Sync>>
        )),
        None => BodyExt::boxed(StreamBody::new(pieces)),
    };
    Response::builder().body(body).unwrap()
}

fn live(site: &Arc<Site>) -> Answer {
    site.state().lives += 1;
    let changed = site.changed.subscribe();
    let events = futures_util::stream::unfold(changed, |mut changed| async move {
        changed.recv().await.ok().map(|()| (Bytes::from_static(b"event: changed\ndata: {}\n\n"), changed))
    });
    let first = futures_util::stream::iter([Bytes::from_static(b": ping\n\n")]);
    let events = first.chain(events).map(|event| Ok(Frame::data(event)));
    let answer = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    answer.body(BodyExt::boxed(StreamBody::new(events))).unwrap()
}

fn report(site: &Site, body: &[u8]) -> io::Result<Answer> {
    let mut state = site.state();
    let (key, _) = state.request.clone().unwrap();
    let opened = envelope::open1(body, REPORT_TYPE, |id| (*id == key.id()).then_some(key.clone()));
    let Ok(payload) = opened else { return Ok(refuse(Code::SignatureInvalid, None)) };
    let json_bytes = zstd::bulk::decompress(payload.value(), 32 << 20)?;
    if state.mischief.too_large_over.is_some_and(|limit| json_bytes.len() > limit) {
        return Ok(refuse(Code::TooLarge, None));
    }
    let batch: Batch = serde_json::from_slice(&json_bytes)?;
    let (last, head) = state.chains.get(&batch.channel).copied().unwrap_or((0, Hash::ZERO));
    let accepted = match sequence::accept(last, head, &sequence::Recent::default(), &batch) {
        Ok(accepted) => accepted,
        Err(sequence::SequenceError::Gap { expected }) => return Ok(refuse(Code::SequenceGap, Some(expected))),
        Err(sequence::SequenceError::Fork { expected } | sequence::SequenceError::Old { expected }) => {
            state.forks += 1;
            return Ok(refuse(Code::SequenceFork, Some(expected)));
        }
        Err(sequence::SequenceError::Malformed) => return Ok(refuse(Code::Malformed, None)),
    };
    if let Some(lost) = &accepted.lost {
        state.lost.push((batch.channel, *lost.start(), *lost.end()));
    }
    for (at, message) in batch.messages[accepted.skip..].iter().enumerate() {
        let sequence = accepted.next + at as u64;
        state.messages.push((batch.channel, sequence, serde_json::from_str(message.get())?));
    }
    let (last, head) = accepted.after(last, head);
    state.chains.insert(batch.channel, (last, head));
    if state.mischief.lose_answers > 0 {
        state.mischief.lose_answers -= 1;
        return Err(io::Error::other("the answer is lost"));
    }
    let resync = std::mem::take(&mut state.resync);
    Ok(json(&ReportAnswer { acknowledged: last, head, resync, quarantined: Vec::new() }))
}
