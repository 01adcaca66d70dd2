//! The OpenAPI document: what all routes have in common. Each says the rest itself.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::super::types::{EventView, Problem};
use super::ApiState;

const ABOUT: &str = "PostgreSQL access for as long as it is needed: asked for, approved, recorded.\n\n\
    Times are RFC 3339; durations are text like `30m` or `1h 30m`. What does not fit this document \
    is refused with 400; what fits, but breaks a rule, with 422.";

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "showOpenapi",
    tag = "identity",
    security(()),
    responses((status = 200, body = Object)),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
) -> ([(HeaderName, &'static str); 1], Bytes) {
    ([(CONTENT_TYPE, "application/json")], state.document)
}

/// The document without a route.
pub(super) fn begun() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0 OR MIT");
    let license = license.identifier(Some("Apache-2.0 OR MIT"));
    let info = InfoBuilder::new()
        .title("hallpass")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license.build()));
    OpenApiBuilder::new()
        .info(info)
        .components(Some(common()))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>(
            "bearer",
            [],
        )]))
        .build()
}

fn common() -> Components {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("An API token, or that of a sign-in."));
    ComponentsBuilder::new()
        .schema(Problem::name(), Problem::schema())
        .schema(EventView::name(), EventView::schema())
        .response("Problem", problem())
        .security_scheme("bearer", SecurityScheme::Http(bearer.build()))
        .build()
}

/// What every error is.
fn problem() -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    ResponseBuilder::new()
        .description("What went wrong (RFC 9457)")
        .content("application/problem+json", content)
        .build()
}

/// The document as JSON, with what goes for every route.
pub(super) fn finished(mut document: OpenApi) -> String {
    let components = document.components.take().unwrap_or_default();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        complete(operation, &components);
    }
    document.components = Some(components);
    document.to_json().expect("the document is plain data")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let methods = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ];
    methods.into_iter().flatten()
}

fn complete(operation: &mut Operation, components: &Components) {
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = "Done".to_owned();
        }
    }
    for errors in ["4XX", "5XX"] {
        let problem = Ref::from_response_name("Problem");
        responses.insert(errors.to_owned(), RefOr::Ref(problem));
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            never_null(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        let needed = body.content.values().any(|content| {
            let schema = match content {
                RefOr::T(content) => content.schema.as_ref(),
                RefOr::Ref(_) => None,
            };
            schema.is_some_and(|schema| demands(schema, components))
        });
        body.required = Some(if needed {
            Required::True
        } else {
            Required::False
        });
    }
}

/// What is optional in a query or a header is left out; there is no way to write a null.
fn never_null(schema: &mut RefOr<Schema>) {
    let null = SchemaType::Type(Type::Null);
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &object.schema_type
                && let Some(one) = types.iter().find(|it| **it != Type::Null)
            {
                object.schema_type = SchemaType::Type(one.clone());
            }
        }
        RefOr::T(Schema::OneOf(either)) => {
            let is_null = |item: &RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(it)) if it.schema_type == null);
            if let Some(one) = either.items.iter().find(|item| !is_null(item)) {
                *schema = one.clone();
            }
        }
        RefOr::Ref(_) | RefOr::T(_) => {}
    }
}

/// Whether a body of this schema has to have anything in it.
fn demands(schema: &RefOr<Schema>, components: &Components) -> bool {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference
                .ref_location
                .rsplit('/')
                .next()
                .unwrap_or_default();
            let schema = components.schemas.get(name);
            schema.is_some_and(|schema| demands(schema, components))
        }
        RefOr::T(Schema::Object(object)) => !object.required.is_empty(),
        RefOr::T(_) => false,
    }
}
