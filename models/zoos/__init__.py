"""Models of other packages by name: torchvision, timm, transformers and ultralytics."""
