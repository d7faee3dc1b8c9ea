"""Small JSON documents, deflated against a preset dictionary of the words that ours always hold.

The dictionary is part of the file format: changing it needs a new format version. It saves about two thirds
of a header of half a kilobyte, which counts when a whole agent has a few dozen.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from forge.errors import ForgeError
from forge.files import decode_utf8, parse_json

# Bytes of a document. A header of thirty tensors has two thousand, the settings of a tokenizer as many.
_LIMIT = 1 << 20
_PRESET = (
    b'"architectures":["TinyTitanForCausalLM"],"architecture":"titan","act_bits":8,"embed_bits":4,"dtype":"float32",'
    b'"halt_threshold":0.5,"halting":true,"memory":true,"memory":false,"memory_capacity":64,"memory_chunk":16,'
    b'"memory_head_dim":16,"memory_heads":2,"max_steps":2,"window":256,"rope_theta":10000.0,"token_shift":true,'
    b'"model_type":"tinytitan","weight_quant":"frozen","vocab_size":512,"hidden_size":128,"head_dim":32,'
    b'"low_heads":[4,4],"high_heads":[4,4],"low_ffn":[256,256],"high_ffn":[256,256],"transformers_version":"5.'
    b'"tie_word_embeddings":true,"use_cache":true,"pad_token_id":0,"eos_token_id":1,"bos_token_id":null,'
    b'"low.0.attn.q.weight","low.0.attn.k.weight","low.0.attn.v.weight","low.0.attn.o.weight","low.0.ffn.up.weight",'
    b'"low.0.ffn.down.weight","high.0.attn.q.weight","vq:shared",[128,128]],["memory.gate.weight","memory.gate.bias",'
    b'"halt.weight","halt.bias","low_init","shift","half",[128]],["embed.weight","row4",[512,128]],"ternary",'
    b'"metadata":{},"codebooks":[],"tensors":[["sections":['
    b'{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"<|pad|>","single_word":false,'
    b'"lstrip":false,"rstrip":false,"normalized":false,"special":true},{"id":0,"content":"<|end|><|system|><|user|>'
    b'<|assistant|><|call|><|result|><|think|><|/think|><|pause|><|helpful|><|researcher|><|technical|><|teacher|>",'
    b'"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}],"normalizer":null,'
    b'"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split",'
    b'"pattern":{"Regex":" ?[A-Za-z]+|\\\\d| ?[^\\\\sA-Za-z\\\\d]+(?: (?=\\\\d))?|\\\\s+(?!\\\\S)|\\\\s+"},'
    b'"behavior":"Isolated","invert":false},{"type":"ByteLevel",'
    b'"add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},"post_processor":{"type":"TemplateProcessing",'
    b'"single":[{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B",'
    b'"type_id":1}}],"special_tokens":{}},"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,'
    b'"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,'
    b'"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":true,"vocab":{},"merges":[]}}'
)


def deflate_agent_file_json(obj: Any) -> bytes:
    """``obj`` as compact JSON, deflated. ForgeError for NaN, infinity, a type unknown to JSON, or more than 1 MiB."""
    try:
        text = json.dumps(obj, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError) as error:
        raise ForgeError(f"cannot be written as JSON: {error}") from error
    if len(text) > _LIMIT:
        raise ForgeError(f"packed JSON: {len(text)} bytes are too many, {_LIMIT} are allowed")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _PRESET)
    return packer.compress(text) + packer.flush()


def inflate_agent_file_json(data: bytes) -> Any:
    """What `deflate_agent_file_json` was given. ForgeError if the data is damaged, cut off or expands beyond 1 MiB."""
    unpacker = zlib.decompressobj(-15, _PRESET)
    try:
        text = unpacker.decompress(data, _LIMIT + 1)
    except zlib.error as error:
        raise ForgeError(f"packed JSON: damaged ({error})") from error
    if not unpacker.eof or unpacker.unused_data:
        raise ForgeError("packed JSON: it is cut off or too large")
    return parse_json(decode_utf8(text, "packed JSON"), "packed JSON")
