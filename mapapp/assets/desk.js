// Desk pages are rendered by the server in one language: the switch stores the choice and loads the page again.
(function () {
  "use strict";
  function token() {
    const found = document.cookie.match(/(?:^|; )_csrf_token=([^;]*)/);
    return found ? decodeURIComponent(found[1]) : "";
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-campus-lang]");
    if (!button) return;
    button.disabled = true;
    const answer = await fetch("/api/v1/lang", {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify({ lang: button.dataset.campusLang }),
    });
    if (answer.status === 401) location.assign("/login?next=" + encodeURIComponent(location.pathname));
    else location.reload();
  });
})();
