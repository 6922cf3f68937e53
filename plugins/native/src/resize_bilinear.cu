#include "kernels.cuh"
#include "plugin.h"

namespace surgeon
{

namespace
{

//! Where the outputs of one axis lie between the inputs.
struct Axis
{
    int32_t length;
    int32_t out;
    float scale;
    bool halfPixelCenters;
};

Axis axisOf(int32_t length, int32_t out, bool alignCorners, bool halfPixelCenters)
{
    float const scale = alignCorners && out > 1 ? static_cast<float>(length - 1) / static_cast<float>(out - 1)
                                                : static_cast<float>(length) / static_cast<float>(out);
    return {length, out, scale, halfPixelCenters};
}

//! The two inputs that an output lies between, and how far from the first.
struct Between
{
    int32_t low;
    int32_t high;
    float share;
};

__device__ Between neighbours(Axis const& axis, int64_t place)
{
    // Products are rounded before the sum, as TensorFlow has them: a fused one moves positions over a pixel's border.
    float const step = static_cast<float>(place);
    float const position = axis.halfPixelCenters ? __fadd_rn(__fmul_rn(step + 0.5F, axis.scale), -0.5F)
                                                 : __fmul_rn(step, axis.scale);
    float const floor = floorf(position);
    int32_t const low = min(max(static_cast<int32_t>(floor), 0), axis.length - 1);
    int32_t const high = min(static_cast<int32_t>(ceilf(position)), axis.length - 1);
    return {low, high, position - floor};
}

__device__ float blend(float from, float to, float share)
{
    return __fadd_rn(from, __fmul_rn(to - from, share));
}

template <typename T>
__global__ void resizeBilinear(T const* x, T* y, int64_t count, Axis rows, Axis columns)
{
    int64_t const plane = static_cast<int64_t>(rows.length) * columns.length;
    for (int64_t i = firstElement(); i < count; i += elementStride())
    {
        Between const across = neighbours(columns, i % columns.out);
        Between const down = neighbours(rows, i / columns.out % rows.out);
        T const* picture = x + i / columns.out / rows.out * plane;
        T const* upper = picture + static_cast<int64_t>(down.low) * columns.length;
        T const* lower = picture + static_cast<int64_t>(down.high) * columns.length;
        float const above = blend(toFloat(upper[across.low]), toFloat(upper[across.high]), across.share);
        float const below = blend(toFloat(lower[across.low]), toFloat(lower[across.high]), across.share);
        y[i] = fromFloat<T>(blend(above, below, down.share));
    }
}

//! Feature maps [C, H, W] resized as TensorFlow's ResizeBilinear does.
struct ResizeBilinear
{
    static constexpr char const* kName = "SurgeonResizeBilinear";

    struct Fields
    {
        int32_t height;
        int32_t width;
        int32_t alignCorners;
        int32_t halfPixelCenters;
    };

    static std::vector<FieldSpec> specs()
    {
        auto const type = nvinfer1::PluginFieldType::kINT32;
        return {{"height", type}, {"width", type}, {"alignCorners", type}, {"halfPixelCenters", type}};
    }

    static Fields read(FieldReader& reader)
    {
        constexpr int32_t most = 1 << 24; // float32 counts to here
        Fields fields{};
        fields.height = reader.integer("height", 1, most);
        fields.width = reader.integer("width", 1, most);
        fields.alignCorners = reader.integer("alignCorners", 0, 1);
        fields.halfPixelCenters = reader.integer("halfPixelCenters", 0, 1);
        if (fields.alignCorners != 0 && fields.halfPixelCenters != 0)
        {
            reader.refuse("the fields 'alignCorners' and 'halfPixelCenters' are both 1; expected one of them at most");
        }
        return fields;
    }

    static std::string shape(Fields const& fields, nvinfer1::Dims const& input, nvinfer1::Dims& output)
    {
        if (input.nbDims != 3)
        {
            return "the input has " + std::to_string(input.nbDims) + " axes after the batch; expected channels, height, width";
        }
        output = input;
        output.d[1] = fields.height;
        output.d[2] = fields.width;
        return {};
    }

    template <typename T>
    static void launch(Fields const& fields, int32_t batch, nvinfer1::Dims const& input, nvinfer1::Dims const& output,
        T const* x, T* y, cudaStream_t stream)
    {
        int64_t const count = batch * volume(output);
        bool const corners = fields.alignCorners != 0;
        bool const half = fields.halfPixelCenters != 0;
        resizeBilinear<<<blocks(count), kThreads, 0, stream>>>(x, y, count,
            axisOf(input.d[1], fields.height, corners, half), axisOf(input.d[2], fields.width, corners, half));
    }
};

using ResizeBilinearCreator = Creator<ResizeBilinear>;

} // namespace

REGISTER_TENSORRT_PLUGIN(ResizeBilinearCreator);

} // namespace surgeon
