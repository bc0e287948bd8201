// The search of all tools on Home: a card stays if each word begins a word of it, or of what people call what it makes.
document.addEventListener("input", (event) => {
  const field = event.target.closest?.(".dbx-find");
  if (!field) return;
  const wanted = field.value.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter((word) => word && !/^(an?|the|with|for|mit|ein|eine|für|und|and|of)$/.test(word));
  const cards = [...field.closest(".dbx-home").querySelectorAll(".dbx-card")].map((card) => {
    const words = `${card.querySelector("h3 a").textContent} ${card.querySelector("p").textContent} ${card.dataset.find}`.toLowerCase();
    return [card, words.split(/[^\p{L}\p{N}]+/u)];
  });
  const found = cards.filter(([, words]) => wanted.every((word) => words.some((each) => each.startsWith(word))));
  for (const [card, words] of cards) card.hidden = found.length > 0 && !found.some(([each]) => each === card);
  field.nextElementSibling.hidden = found.length > 0;
});
// Drafts come below the question that they follow from, on a phone out of view.
const showDrafts = (tries = 0) => {
  const drafts = document.getElementById("home-drafts");
  if (drafts?.offsetParent) drafts.scrollIntoView({ block: "nearest" });
  else if (tries < 100) setTimeout(showDrafts, 50, tries + 1);
};
for (const [name, asks] of [["change", "#home-consent"], ["click", "[id^=home-example-]"]]) {
  document.addEventListener(name, (event) => { if (event.target.closest?.(asks)) showDrafts(); });
}
