//! Who is no longer, or never was, somebody here, and who stands for somebody.

use std::convert::Infallible;

use axum::body::Bytes;
use futures_util::stream::once;

use super::*;

#[tokio::test]
async fn who_holds_a_form_back_does_not_act_by_what_they_were_before() {
    let site = Site::new();
    site.account("zoe", "leads").await;
    let id = site.world.submit("maya").await;
    let path = format!("/requests/{id}");
    let fields = [("name", "zoe"), ("password", PASSWORD)];
    let cookie = site.post("/sign-in", "", &fields).await.cookie();
    let page = site.get(&path, &cookie).await;
    let (mark, version) = (page.hidden("mark"), page.hidden("version"));
    let form = format!("mark={mark}&version={version}");
    let control = Arc::clone(&site.world.control);
    let held = once(async move {
        let disabled = control.disable_account(&caller("ada"), "zoe", true).await;
        disabled.unwrap();
        Ok::<_, Infallible>(Bytes::from(form))
    });
    let request = Request::post(format!("{path}/approve"))
        .header("cookie", cookie)
        .header("sec-fetch-site", "same-origin");
    let body = Body::from_stream(held);
    let page = site.send(request.body(body).unwrap()).await;
    assert_eq!(page.status, 401, "{}", page.text);
    assert_eq!(site.state(id).await, RequestState::Pending);
}

#[tokio::test]
async fn another_sites_page_cannot_have_its_visitors_wait_here() {
    let site = Site::new();
    for _ in 0..40 {
        let page = site.get("/sign-in/callback?state=x&code=y", "").await;
        assert_eq!(page.status, 401, "{}", page.text);
        let picture = Request::get("/sign-in/provider").header("sec-fetch-mode", "no-cors");
        let page = site.send(picture.body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, 403, "{}", page.text);
    }
    assert_eq!(site.get("/", &cookie("dana")).await.status, 200);
}

#[tokio::test]
async fn who_decides_for_another_sees_what_the_request_opens() {
    let site = Site::new();
    let id = site.world.submit("maya").await;
    let control = &site.world.control;
    let until = site.world.clock.now() + crate::control::testing::HOUR;
    let omar = "omar".parse().unwrap();
    let made = control.delegate(&caller("dana"), &omar, until).await;
    made.unwrap();
    let page = site.get(&format!("/requests/{id}"), &cookie("omar")).await;
    assert!(page.text.contains(">Approve<"), "{}", page.text);
    let place = "<dt>Where</dt><dd>production";
    assert!(page.text.contains(place), "{}", page.text);
}
