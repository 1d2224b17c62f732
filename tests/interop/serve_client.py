#!/usr/bin/env python3
"""Talks to `posedata serve` with the official library of OpenAI; tests/it/serve.rs starts the server."""

import argparse
import json
import sys

import openai


def check(condition, what):
    if not condition:
        sys.exit(f"differs: {what}")


def error_of(expected, call, **named):
    try:
        call(**named)
    except expected as error:
        return error
    sys.exit(f"no {expected.__name__}: {named}")


parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
parser.add_argument("--key", required=True)
parser.add_argument("--base", required=True)
options = parser.parse_args()
client = openai.OpenAI(base_url=options.url, api_key=options.key, max_retries=0)
create = client.chat.completions.create
names = [model.id for model in client.models.list()]
check(names == [options.base, "ask"], names)

# A text, whole and streamed, is the same.
hello = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
whole = create(model=options.base, messages=hello, max_tokens=8)
check(whole.choices[0].message.role == "assistant", whole)
check(whole.choices[0].finish_reason in ("stop", "length"), whole)
check(whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens, whole.usage)
pieces = list(create(model=options.base, messages=hello, max_tokens=8, stream=True,
                     stream_options={"include_usage": True}))
text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices)
check(text == whole.choices[0].message.content, (text, whole.choices[0].message.content))
check(pieces[-1].usage == whole.usage, pieces[-1])
check(pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason, pieces[-2])

# What the lake knows, in words and as a call.
question = [{"role": "user", "content": "How large is the left knee at 1.5 s in demo.mp4?"}]
answer = create(model="ask", messages=question)
extra = answer.choices[0].message.model_extra["posedata"]
check(answer.choices[0].message.content == extra["answer"] and extra["call"], answer)
tools = client.get("/tools", cast_to=object)["data"]
called = create(model="ask", messages=question, tools=tools)
check(called.choices[0].finish_reason == "tool_calls", called)
call = called.choices[0].message.tool_calls[0]
arguments = json.loads(call.function.arguments)
schema = next(t["function"] for t in tools if t["function"]["name"] == call.function.name)
check(set(arguments) <= set(schema["parameters"]["properties"]), arguments)
check(extra["call"].split(" ")[0] == call.function.name, (extra["call"], call))
streamed = list(create(model="ask", messages=question, tools=tools, stream=True))
check(streamed[-1].choices[0].delta.tool_calls[0].function == call.function or
      streamed[-1].choices[0].delta.tool_calls[0].function.arguments == call.function.arguments, streamed)
told = question + [called.choices[0].message.to_dict(),
                   {"role": "tool", "tool_call_id": call.id, "content": "105.2 deg"}]
check(create(model="ask", messages=told, tools=tools).choices[0].message.content == "105.2 deg", told)

# A call of a question that goes on from another names the video that was spoken of.
again = question + [{"role": "assistant", "content": extra["answer"]}, {"role": "user", "content": "and at 1 s?"}]
call = create(model="ask", messages=again, tools=tools).choices[0].message.tool_calls[0]
if "video" in next(t["function"] for t in tools if t["function"]["name"] == call.function.name)["parameters"]["properties"]:
    check(json.loads(call.function.arguments)["video"] == "demo.mp4", call)

# A stop ends the text before it, whole and streamed.
said = whole.choices[0].message.content
stop = said[len(said) // 2:][:2]
if stop:
    stopped = create(model=options.base, messages=hello, max_tokens=8, stop=[stop])
    check(stopped.choices[0].message.content == said[:said.index(stop)], (said, stop, stopped))
    check(stopped.choices[0].finish_reason == "stop", stopped)
    pieces = create(model=options.base, messages=hello, max_tokens=8, stop=stop, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces)
    check(text == stopped.choices[0].message.content, (text, stopped))

# A tool that has to be called is called, and no other.
only = {"type": "function", "function": {"name": "value"}}
forced = create(model="ask", messages=question, tools=tools, tool_choice=only)
check(forced.choices[0].message.tool_calls[0].function.name == "value", forced)
check(not create(model="ask", messages=question, tools=tools, tool_choice="none").choices[0].message.tool_calls, "none")
required = [tool for tool in tools if tool["function"]["name"] == "videos"]
error_of(openai.BadRequestError, create, model="ask", messages=question, tools=required, tool_choice="required")
error_of(openai.BadRequestError, create, model="ask", messages=question, tools=required, tool_choice=only)
error_of(openai.BadRequestError, create, model="ask", messages=question, tools=tools, tool_choice="banana")
error_of(openai.BadRequestError, create, model=options.base, messages=hello, tools=tools, tool_choice="required")

# What is wrong is an error of the right class.
check(client.models.retrieve("ask").id == "ask", "a model by its name")
error_of(openai.NotFoundError, client.models.retrieve, model="gpt-4")
for path, expected in (("/embeddings", openai.NotFoundError), ("/models", openai.APIStatusError)):
    error = error_of(expected, client.post, path=path, cast_to=object, body={})
    check("/v1/chat/completions" in str(error), error)
picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
error_of(openai.BadRequestError, create, model=options.base, messages=picture)
error_of(openai.BadRequestError, create, model=options.base, messages=hello, stop=list("abcde"))
error_of(openai.NotFoundError, create, model="gpt-4", messages=hello)
error_of(openai.BadRequestError, create, model=options.base, messages=[])
error_of(openai.BadRequestError, create, model=options.base, messages=hello, temperature=3)
error = error_of(openai.BadRequestError, create, model="ask",
                 messages=[{"role": "user", "content": "the knee in demi.mp4"}])
check("demo.mp4" in str(error), error)
error_of(openai.BadRequestError, create, model="ask", stream=True,
         messages=[{"role": "user", "content": " "}])
stranger = openai.OpenAI(base_url=options.url, api_key="wrong", max_retries=0)
error_of(openai.AuthenticationError, stranger.models.list)
page = openai.OpenAI(base_url=options.url, api_key=options.key, max_retries=0,
                     default_headers={"Host": "evil.example"})
error_of(openai.PermissionDeniedError, page.models.list)
print("good")
