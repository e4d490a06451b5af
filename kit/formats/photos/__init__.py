"""Photos of a sheet of paper on a desk become scans of it: found, straightened, whitened, sized.

`correction` runs the rest in a sandbox, where numpy and cv2 are loaded. The finder is the one of the portal's scripts
(`services/portal/static/sheet.js`): the same steps with the same weights, over whole arrays.
"""
