"""Recursive models on ARC: can an encoder of demonstrations take the place of a learned embedding for each puzzle?"""
