//! The touchscreen page. Its files are part of the binary; it loads nothing from elsewhere.

use axum::Router;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and content of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../../page/index.html")),
    ("/style.css", CSS, include_str!("../../page/style.css")),
    ("/main.js", SCRIPT, include_str!("../../page/main.js")),
    ("/build.js", SCRIPT, include_str!("../../page/build.js")),
    ("/calipers.js", SCRIPT, include_str!("../../page/calipers.js")),
    ("/captures.js", SCRIPT, include_str!("../../page/captures.js")),
    ("/cine.js", SCRIPT, include_str!("../../page/cine.js")),
    ("/cleaning.js", SCRIPT, include_str!("../../page/cleaning.js")),
    ("/device.js", SCRIPT, include_str!("../../page/device.js")),
    ("/dialogs.js", SCRIPT, include_str!("../../page/dialogs.js")),
    ("/examination.js", SCRIPT, include_str!("../../page/examination.js")),
    ("/facts.js", SCRIPT, include_str!("../../page/facts.js")),
    ("/geometry.js", SCRIPT, include_str!("../../page/geometry.js")),
    ("/gestures.js", SCRIPT, include_str!("../../page/gestures.js")),
    ("/icons.js", SCRIPT, include_str!("../../page/icons.js")),
    ("/keys.js", SCRIPT, include_str!("../../page/keys.js")),
    ("/naming.js", SCRIPT, include_str!("../../page/naming.js")),
    ("/prompting.js", SCRIPT, include_str!("../../page/prompting.js")),
    ("/prompts.js", SCRIPT, include_str!("../../page/prompts.js")),
    ("/recorded.js", SCRIPT, include_str!("../../page/recorded.js")),
    ("/review.js", SCRIPT, include_str!("../../page/review.js")),
    ("/scale.js", SCRIPT, include_str!("../../page/scale.js")),
    ("/settings.js", SCRIPT, include_str!("../../page/settings.js")),
    ("/signs.js", SCRIPT, include_str!("../../page/signs.js")),
    ("/shot.js", SCRIPT, include_str!("../../page/shot.js")),
    ("/users.js", SCRIPT, include_str!("../../page/users.js")),
    ("/view.js", SCRIPT, include_str!("../../page/view.js")),
    ("/wire.js", SCRIPT, include_str!("../../page/wire.js")),
    ("/words.js", SCRIPT, include_str!("../../page/words.js")),
    ("/de.js", SCRIPT, include_str!("../../page/de.js")),
    ("/en.js", SCRIPT, include_str!("../../page/en.js")),
    ("/es.js", SCRIPT, include_str!("../../page/es.js")),
    ("/fr.js", SCRIPT, include_str!("../../page/fr.js")),
];

/// Content Security Policy: nothing from other origins, and no embedding in other pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Routes of the files. They contain no patient data, so they need no token.
pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, &(path, kind, content)| {
        let headers = [
            (CONTENT_TYPE, kind),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // A cached page might not fit the service after an update.
            (CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(move || async move { (headers, content) }))
    })
}

#[cfg(test)]
mod tests {
    use medsa_wire::FORMAT_VERSION;

    #[test]
    fn page_reads_this_version_of_the_wire_format() {
        let version = format!("const VERSION = {FORMAT_VERSION};");
        assert!(include_str!("../../page/wire.js").contains(&version), "{version}");
    }
}
