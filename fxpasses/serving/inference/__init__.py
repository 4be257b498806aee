"""Answers to checked requests: conversion of tensors and images, batches, and the session that computes them."""
