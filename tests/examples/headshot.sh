curl -s http://127.0.0.1:7860/v1/tools/headshot \
  -F photo=@portrait.jpg -F preset=linkedin -F consent=true
