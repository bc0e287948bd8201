from gradio_client import Client, handle_file

studio = Client("http://127.0.0.1:7860")
files, job = studio.predict(photo=handle_file("portrait.jpg"), preset="linkedin", consent=True, api_name="/headshot")
print(files, job["receipt"]["checks"])
