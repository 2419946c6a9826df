// Starts the API page. A file of its own, because the Content-Security-Policy allows no inline script.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  onComplete: () => {
    // Swagger UI's groups are h3 and h4 under the title's h1, and its main leaves out the title.
    for (const group of document.querySelectorAll(".opblock-tag, .models h4")) group.setAttribute("aria-level", "2");
    const title = document.querySelector(".information-container");
    title?.setAttribute("role", "region");
    title?.setAttribute("aria-label", "Title");
  },
});
