//! The table of the administrators' routes: address, method, who may, and what goes in and out. The router and the OpenAPI
//! description are built from it and from nothing else.

use super::{AppState, console, guard, health, respond::Refusal, security, trace};
use axum::{
    Router,
    handler::Handler,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodFilter, MethodRouter, on},
};
use http::Method;
use muster_site::authz::Access;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

/// One route.
#[derive(Clone)]
pub struct Route {
    /// The method. `GET` answers `HEAD` too.
    pub method: Method,
    /// The address, with `{parameters}`.
    pub path: &'static str,
    /// Who may. Asked before the body is read, and again by the rule.
    pub access: Access,
    /// Which credentials count, and how a refusal looks.
    pub kind: Kind,
    /// What the description says of it.
    pub about: About,
    /// Bytes that its body may have, where that is not the API's limit.
    pub(crate) body: BodyLimit,
    handler: MethodRouter<AppState>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.access)
    }
}

/// Which door of the administrators' a route belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The API: bearer token, problems as JSON.
    Api,
    /// The console: session cookie, forms with a token against forgery, problems as pages.
    Console,
}

/// How large a body may say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// `Limits::api_bytes`.
    Api,
    /// `Limits::content_bytes`.
    Content,
    /// `Limits::object_bytes`.
    Object,
    /// `limits::COLLECTION_IMPORT_BYTES`.
    Import,
}

/// A schema with its name and everything that it refers to.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) all: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let mut all = vec![(name.clone(), T::schema())];
        T::schemas(&mut all);
        Self { name, all }
    }

    /// A page of `T`, under a name of its own.
    fn page_of<T: ToSchema>() -> Self {
        let name = format!("PageOf{}", T::name());
        let mut all =
            vec![(name.clone(), muster_model::api::Page::<T>::schema_of()), (T::name().into_owned(), T::schema())];
        T::schemas(&mut all);
        Self { name, all }
    }
}

/// The schema of a page, for any row.
trait PageSchema {
    fn schema_of() -> RefOr<Schema>;
}

impl<T: ToSchema> PageSchema for muster_model::api::Page<T> {
    fn schema_of() -> RefOr<Schema> {
        <Self as utoipa::PartialSchema>::schema()
    }
}

/// A body in the description.
#[derive(Clone)]
pub(crate) enum Content {
    /// None.
    Nothing,
    /// JSON of this shape.
    Json(Shape),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// What the description says of a route.
#[derive(Clone)]
pub struct About {
    /// The rule's name; `operationId` in the description. Empty: the route is not part of the API.
    pub operation: &'static str,
    pub(crate) text: &'static str,
    pub(crate) query: Option<Shape>,
    pub(crate) takes: Content,
    pub(crate) status: u16,
    pub(crate) gives: Content,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.operation)
    }
}

impl Route {
    /// A route.
    pub(crate) fn new<H, T>(kind: Kind, method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        // Every method of the tables is one that axum knows.
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
        let about = About {
            operation: "",
            text: "",
            query: None,
            takes: Content::Nothing,
            status: 200,
            gives: Content::Nothing,
        };
        Self { method, path, access, kind, about, body: BodyLimit::Api, handler: on(filter, handler) }
    }

    /// `GET` of the API.
    pub(crate) fn get<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::new(Kind::Api, Method::GET, path, access, handler)
    }

    /// `POST` of the API.
    pub(crate) fn post<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::new(Kind::Api, Method::POST, path, access, handler)
    }

    /// `PUT` of the API.
    pub(crate) fn put<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::new(Kind::Api, Method::PUT, path, access, handler)
    }

    /// `DELETE` of the API.
    pub(crate) fn delete<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::new(Kind::Api, Method::DELETE, path, access, handler)
    }

    /// `HEAD` of the API, where it is not a `GET` without its body.
    pub(crate) fn head<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Self {
        Self::new(Kind::Api, Method::HEAD, path, access, handler)
    }

    /// The rule behind it, and one sentence.
    pub(crate) fn about(mut self, operation: &'static str, text: &'static str) -> Self {
        (self.about.operation, self.about.text) = (operation, text);
        self
    }

    /// Its query.
    pub(crate) fn query<T: ToSchema>(mut self) -> Self {
        self.about.query = Some(Shape::of::<T>());
        self
    }

    /// Its JSON body.
    pub(crate) fn takes<T: ToSchema>(mut self) -> Self {
        self.about.takes = Content::Json(Shape::of::<T>());
        self
    }

    /// Its body of another type, and how large that may be.
    pub(crate) fn takes_bytes(mut self, media: &'static str, limit: BodyLimit) -> Self {
        (self.about.takes, self.body) = (Content::Bytes(media), limit);
        self
    }

    /// Its JSON answer.
    pub(crate) fn gives<T: ToSchema>(mut self) -> Self {
        self.about.gives = Content::Json(Shape::of::<T>());
        self
    }

    /// A page as its answer.
    pub(crate) fn gives_page<T: ToSchema>(mut self) -> Self {
        self.about.gives = Content::Json(Shape::page_of::<T>());
        self
    }

    /// Its answer of another type.
    pub(crate) fn gives_bytes(mut self, media: &'static str) -> Self {
        self.about.gives = Content::Bytes(media);
        self
    }

    /// The status of a good answer, where it is not 200.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.about.status = status;
        self
    }
}

/// Every route of the administrators' door.
#[must_use]
pub fn table() -> Vec<Route> {
    let mut routes = super::api::routes();
    routes.extend(health::routes());
    routes.extend(console::routes());
    routes
}

/// The router of the administrators' door.
pub(crate) fn router(app: &AppState) -> Router {
    let mut router = Router::new();
    for route in table() {
        let guarded = guard::Guarded { app: app.clone(), access: route.access, kind: route.kind, body: route.body };
        router = router.route(route.path, route.handler.layer(from_fn_with_state(guarded, guard::guard)));
    }
    router
        .fallback(|| async { Refusal::not_found() })
        // A wrong method is not told from a wrong address.
        .method_not_allowed_fallback(|| async { Refusal::not_found() })
        .layer(from_fn_with_state(app.clone(), security::headers))
        .layer(from_fn(trace::request))
        .with_state(app.clone())
}
