#!/usr/bin/env python3
"""usage: users.py COUNT FOLDER

Writes users.jsonl for `switchbook apply`, and users.csv and calls.csv for the sipp scenarios: users and numbers are 100000,
100001, …; even ones call the odd one that follows.
"""
import json
import os
import sys

count, folder = int(sys.argv[1]), sys.argv[2]
os.makedirs(folder, exist_ok=True)
users = [(str(100000 + i), f"pass-{100000 + i}") for i in range(count)]
auth = lambda user: "[authentication username=%s password=%s]" % user
with open(f"{folder}/users.jsonl", "w") as f:
    for name, password in users:
        device = {"name": name, "type": "desk", "password": password}
        f.write(json.dumps({"command": "user.add", "username": "u" + name, "display_name": "User " + name,
                            "numbers": [name], "devices": [device]}) + "\n")
with open(f"{folder}/users.csv", "w") as f:
    f.write("SEQUENTIAL\n" + "".join(f"{user[0]};{auth(user)}\n" for user in users))
with open(f"{folder}/calls.csv", "w") as f:
    f.write("SEQUENTIAL\n")
    for caller, callee in zip(users[::2], users[1::2]):
        f.write(f"{caller[0]};{auth(caller)};{callee[0]}\n")
