const answer = await fetch("http://127.0.0.1:7860/v1/images/generations", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ model: "background", prompt: "forest in the morning", response_format: "url" }),
});
const { data } = await answer.json();
console.log(data[0].url);
