//! The document of the API, and the table of its routes.

use super::callers::ROUTES;
use super::*;

#[test]
fn every_route_has_a_line_in_the_table() {
    let document: Value = serde_json::from_str(&super::super::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut documented: Vec<(String, &str)> = Vec::new();
    for (path, item) in paths {
        let methods = item.as_object().unwrap().keys();
        documented.extend(methods.map(|method| (method.to_uppercase(), path.as_str())));
    }
    for (method, path, ..) in ROUTES {
        let path = path.split('?').next().unwrap();
        let whole = format!("/api/v1/{path}");
        let is = |(its, template): &(String, &str)| its == method && fits(template, &whole);
        let place = documented.iter().position(is);
        documented.remove(place.unwrap_or_else(|| panic!("{method} {path} is in no document")));
    }
    assert!(documented.is_empty(), "without a line: {documented:?}");
}

/// Whether a path is one of a template's.
fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(part, text)| part.starts_with('{') || part == text)
}

#[test]
fn the_document_says_of_every_call_what_it_takes_and_what_it_answers() {
    let document: Value = serde_json::from_str(&super::super::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} twice");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{id}");
            let problem = "#/components/responses/Problem";
            assert_eq!(
                operation["responses"]["4XX"]["$ref"], problem,
                "{method} {path}"
            );
            let parameters = operation["parameters"].as_array();
            let named = path.matches('{').count();
            let in_path = parameters
                .into_iter()
                .flatten()
                .filter(|it| it["in"] == "path");
            assert_eq!(in_path.count(), named, "{method} {path}");
        }
    }
    for (path, names) in [
        ("requests", &["state", "limit", "cursor"][..]),
        ("requests/{id}", &["wait", "id", "If-None-Match"]),
        ("audit/sessions/{session}", &["after", "limit", "session"]),
    ] {
        let parameters = &document["paths"][format!("/api/v1/{path}")]["get"]["parameters"];
        let documented = parameters.as_array().unwrap().iter().map(|it| &it["name"]);
        assert_eq!(documented.collect::<Vec<_>>(), names, "{path}");
        assert!(!parameters.to_string().contains("null"), "{parameters}");
    }
    let request = &document["components"]["schemas"]["RequestId"];
    assert_eq!(request["pattern"], "^req-[0-9a-hjkmnp-tv-z]{12}$");
}
