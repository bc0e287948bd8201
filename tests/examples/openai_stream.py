import base64

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:7860/v1", api_key="none")
events = client.images.generate(
    model="background", prompt="forest in the morning", size="1024x1024", stream=True, partial_images=2
)
for event in events:
    print(event.type)  # image_generation.partial_image, …
    if event.type == "image_generation.completed":
        with open("forest.png", "wb") as file:
            file.write(base64.b64decode(event.b64_json))
