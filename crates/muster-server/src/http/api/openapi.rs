//! The OpenAPI description, made from the table of routes. Committed as `docs/reference/openapi.json`; a test keeps both together.

use crate::http::{
    respond,
    route::{About, Content, Kind, Route, Shape, table},
};
use axum::response::Response;
use http::{Method, StatusCode};
use muster_model::problem::{Code, Problem};
use muster_site::authz::Access;
use std::collections::BTreeMap;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr, Required, Schema,
        content::ContentBuilder,
        path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder},
        request_body::RequestBodyBuilder,
        response::{ResponseBuilder, ResponsesBuilder},
        schema::{KnownFormat, ObjectBuilder, Ref, SchemaFormat, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

const PROBLEM: &str = "application/problem+json";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/openapi.json", Access::Anyone, show)
            .about("openapi", "This description.")
            .gives_bytes("application/json"),
    ]
}

async fn show() -> Response {
    respond::bytes(StatusCode::OK, respond::JSON, description())
}

/// The description as JSON text.
#[must_use]
pub fn description() -> String {
    let mut text = openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn openapi() -> OpenApi {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let mut paths: BTreeMap<&'static str, PathItem> = BTreeMap::new();
    schemas.insert(Problem::name().into_owned(), Problem::schema());
    schemas.insert(Code::name().into_owned(), Code::schema());
    for route in table().iter().filter(|route| route.kind == Kind::Api && !route.about.operation.is_empty()) {
        for shape in shapes(&route.about) {
            schemas.extend(shape.all.iter().cloned());
        }
        let item = PathItemBuilder::new().operation(method(&route.method), operation(route)).build();
        match paths.get_mut(route.path) {
            Some(there) => there.merge_operations(item),
            None => drop(paths.insert(route.path, item)),
        }
    }
    let paths = paths.into_iter().fold(PathsBuilder::new(), |all, (path, item)| all.path(path, item));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme("session", bearer);
    let info = InfoBuilder::new()
        .title("Muster: administrators' API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sign in with an administrator's key (`session_challenge`, `session_create`); send the token as a bearer. A refusal is a problem (RFC 9457) with a stable `code`."));
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components.build())).build()
}

fn shapes(about: &About) -> impl Iterator<Item = &Shape> {
    fn json(content: &Content) -> Option<&Shape> {
        match content {
            Content::Json(shape) => Some(shape),
            _ => None,
        }
    }
    // The types of a query's values are shown where they stand, but those they name must be there.
    [json(&about.takes), json(&about.gives), about.query.as_ref()].into_iter().flatten()
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::DELETE => HttpMethod::Delete,
        Method::HEAD => HttpMethod::Head,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route) -> Operation {
    let about = &route.about;
    let mut operation = OperationBuilder::new()
        .operation_id(Some(about.operation))
        .tag(tag(route.path))
        .summary(Some(about.text))
        .description(Some(who(route.access)));
    for name in route.path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
        let text = ObjectBuilder::new().schema_type(Type::String);
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text)),
        );
    }
    if let Some(RefOr::T(Schema::Object(query))) = about.query.as_ref().map(|q| q.all[0].1.clone()) {
        for (name, schema) in query.properties {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            operation = operation.parameter(parameter.required(Required::False).schema(Some(schema)));
        }
    }
    match &about.takes {
        Content::Nothing => {}
        Content::Json(shape) => {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(&shape.name))).build();
            let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        Content::Bytes(media) => {
            let body = RequestBodyBuilder::new().content(*media, bytes()).required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
    }
    if route.access != Access::Anyone {
        operation = operation.security(SecurityRequirement::new("session", Vec::<String>::new()));
    }
    operation.responses(responses(about)).build()
}

fn responses(about: &About) -> utoipa::openapi::Responses {
    let good = ResponseBuilder::new().description("Done.");
    let good = match &about.gives {
        Content::Nothing => good,
        Content::Json(shape) => good.content(
            "application/json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name(&shape.name))).build(),
        ),
        Content::Bytes(media) => good.content(*media, bytes()),
    };
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let refused = ResponseBuilder::new().description("Refused; `code` says why.").content(PROBLEM, problem);
    ResponsesBuilder::new().response(about.status.to_string(), good).response("default", refused).build()
}

fn bytes() -> utoipa::openapi::Content {
    let schema =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    ContentBuilder::new().schema(Some(schema)).build()
}

/// The noun of an address.
fn tag(path: &'static str) -> &'static str {
    path.trim_start_matches("/api/v1/").split(['/', '.']).next().unwrap_or("site")
}

fn who(access: Access) -> &'static str {
    match access {
        Access::Anyone => "Anyone.",
        Access::See => "Administrators of any role.",
        Access::Change => "Full administrators.",
        Access::Device => "Devices, about themselves.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_the_generated_one() {
        crate::testing::committed("docs/reference/openapi.json", &description());
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_operation_has_a_name_of_its_own() {
        let text = description();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = value["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        let mut names: Vec<_> = table().iter().map(|r| r.about.operation).filter(|name| !name.is_empty()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
