#pragma once

#include <NvInfer.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

namespace surgeon
{

constexpr int32_t kThreads = 256;

//! Return the blocks of a grid-stride loop over `count` elements.
inline uint32_t blocks(int64_t count)
{
    constexpr int64_t most = 1 << 16;
    return static_cast<uint32_t>(std::min((count + kThreads - 1) / kThreads, most));
}

//! Return the product of lengths from axis `first` up to, without, `last`.
inline int64_t volume(nvinfer1::Dims const& dims, int32_t first, int32_t last)
{
    int64_t product = 1;
    for (int32_t i = first; i < last; ++i)
    {
        product *= dims.d[i];
    }
    return product;
}

inline int64_t volume(nvinfer1::Dims const& dims)
{
    return volume(dims, 0, dims.nbDims);
}

__device__ inline int64_t firstElement()
{
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline int64_t elementStride()
{
    return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

__device__ inline float toFloat(float value)
{
    return value;
}

__device__ inline float toFloat(__half value)
{
    return __half2float(value);
}

template <typename T>
__device__ inline T fromFloat(float value);

template <>
__device__ inline float fromFloat<float>(float value)
{
    return value;
}

template <>
__device__ inline __half fromFloat<__half>(float value)
{
    return __float2half_rn(value);
}

//! Return `value` from `low` to `high`; NaN stays.
__device__ inline float clipped(float value, float low, float high)
{
    return value < low ? low : (value > high ? high : value);
}

//! Apply `function`, float to float, to each of `count` elements.
template <typename T, typename Function>
__global__ void mapElements(T const* x, T* y, int64_t count, Function function)
{
    for (int64_t i = firstElement(); i < count; i += elementStride())
    {
        y[i] = fromFloat<T>(function(toFloat(x[i])));
    }
}

} // namespace surgeon
