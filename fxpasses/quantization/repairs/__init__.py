"""Changes before or after conversion that bring int8 nearer to float, one per file."""
